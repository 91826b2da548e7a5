# Kairos. Two commands set everything up on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
export CARGO_TARGET_DIR ?= $(HOME)/.cache/kairos/target
CARGO_BUILD := cargo build --locked --profile ci
PROGRAM := $(CARGO_TARGET_DIR)/ci/kairos
STAGE = $(CARGO_TARGET_DIR)/ci/xtask stage
DATA ?=
ONCE ?=
SEED ?=
SEEDS ?=

.PHONY: help build demo test tools soak soak-mutants bench bench-truth bench-numbers bench-events bench-audience bench-engine fmt

help:
	@echo "make demo    build, then run the whole loop on a synthetic province (ONCE=1 ends after the report)"
	@echo "make test    install what the tests need and pass them"
	@echo "make build   the program at bin/kairos"
	@echo "make soak    simulated worlds: SEEDS=n [SEED=first]; SEED=n alone replays one with its trace"
	@echo "make soak-mutants  plants bugs one at a time and says which check finds each"
	@echo "make bench   all headline figures;  make bench-truth  one of them"

build:
	$(CARGO_BUILD) -p kairos
	mkdir -p bin
	cp -f $(PROGRAM) bin/kairos

demo: build
	bin/kairos demo $(if $(ONCE),--once) $(if $(DATA),--data $(DATA))

tools:
	$(CARGO_BUILD) -p xtask

test: tools
	$(STAGE) peers tests/peers/install.sh
	$(STAGE) format cargo fmt --all --check
	$(STAGE) floors $(CARGO_TARGET_DIR)/ci/xtask floors
	$(STAGE) catalogue $(CARGO_TARGET_DIR)/ci/xtask tags
	$(STAGE) build $(MAKE) --no-print-directory build
	$(STAGE) lint cargo clippy --locked --profile ci --workspace --all-targets -- -D warnings
	$(STAGE) tests cargo test --locked --profile ci --workspace

# Worlds from seeds on a simulated disk, clock, network and centre; `make test` runs the first thousand.
soak:
	$(CARGO_BUILD) -p kairos-sim
	$(CARGO_TARGET_DIR)/ci/soak $(if $(SEEDS),$(SEEDS) $(or $(SEED),1),$(if $(SEED),,1000))

# One build with every bug in it, each chosen by name at run time; apart from the others, so that no bug is ever shipped.
soak-mutants: export CARGO_TARGET_DIR := $(HOME)/.cache/kairos/mutants
soak-mutants: export RUSTFLAGS := --cfg kairos_mutant
soak-mutants:
	$(CARGO_BUILD) -p kairos-sim
	$(CARGO_TARGET_DIR)/ci/soak mutants $(MUTANTS)

# Headline figures; not a part of `make test`. Each prints a table and one JSON line.
bench: bench-truth bench-numbers bench-events bench-audience bench-engine

bench-truth:
	cargo run --locked --quiet --profile bench-o3 -p kairos-bench-truth -- $(or $(CAMPAIGNS),1000) $(or $(SEED),1)

bench-numbers:
	cargo run --locked --quiet --profile bench-o3 -p kairos-bench-numbers

bench-events:
	cargo run --locked --quiet --profile bench-o3 -p kairos-connect --example event_rate

# The peers are Python packages in an environment of their own under the target directory.
AUDIENCE_PEERS := $(CARGO_TARGET_DIR)/bench-audience
$(AUDIENCE_PEERS)/ready:
	python3 -m venv $(AUDIENCE_PEERS)/venv
	$(AUDIENCE_PEERS)/venv/bin/pip install --quiet numpy==2.4.6 pyarrow==26.0.1 pyroaring==1.2.0 duckdb==2.0.1
	touch $@

bench-audience: $(AUDIENCE_PEERS)/ready
	cargo run --locked --quiet --profile bench-o3 -p kairos-bench-audience -- \
	  --scratch $(AUDIENCE_PEERS) --python $(AUDIENCE_PEERS)/venv/bin/python

# Real-time decisions: SIZE=small|full|long SEED=n OUT=file; FLINK=1 runs Flink too, which is fetched from PyPI (230 MB).
BENCH_DIR ?= $(CARGO_TARGET_DIR)/bench-engine
bench-engine:
	cargo build --locked --quiet --profile bench-o3 -p kairos-bench-engine
	mkdir -p $(BENCH_DIR)
	rustc -O -C target-cpu=native -C panic=abort benches/engine/probe/w1_probe.rs -o $(BENCH_DIR)/w1_probe
	$(CARGO_TARGET_DIR)/bench-o3/kairos-bench-engine size=$(or $(SIZE),full) seed=$(or $(SEED),1) out=$(OUT) \
		dir=$(BENCH_DIR) probe=$(BENCH_DIR)/w1_probe $(if $(FLINK),flink=$(CURDIR)/benches/engine/flink/run.sh)

fmt:
	cargo fmt --all

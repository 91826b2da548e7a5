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

.PHONY: help build demo test tools bench bench-truth bench-numbers bench-engine fmt

help:
	@echo "make demo    build, then run the whole loop on a synthetic province (ONCE=1 ends after the report)"
	@echo "make test    install what the tests need and pass them"
	@echo "make build   the program at bin/kairos"
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
	$(STAGE) build $(MAKE) --no-print-directory build
	$(STAGE) lint cargo clippy --locked --profile ci --workspace --all-targets -- -D warnings
	$(STAGE) tests cargo test --locked --profile ci --workspace

# Headline figures; not a part of `make test`. Each prints a table and one JSON line.
bench: bench-truth bench-numbers

bench-truth:
	cargo run --locked --quiet --profile bench-o3 -p kairos-bench-truth -- $(or $(CAMPAIGNS),1000) $(or $(SEED),1)

bench-numbers:
	cargo run --locked --quiet --profile bench-o3 -p kairos-bench-numbers

# Real-time decisions: SIZE=small|full|long SEED=n OUT=file; FLINK=1 runs Flink too, which is fetched from PyPI (230 MB).
BENCH_DIR ?= /tmp/kairos-bench-engine
bench-engine:
	cargo build --locked --quiet --profile bench-o3 -p kairos-bench-engine
	mkdir -p $(BENCH_DIR)
	rustc -O -C target-cpu=native -C panic=abort benches/engine/probe/w1_probe.rs -o $(BENCH_DIR)/w1_probe
	$(CARGO_TARGET_DIR)/bench-o3/kairos-bench-engine size=$(or $(SIZE),full) seed=$(or $(SEED),1) out=$(OUT) \
		dir=$(BENCH_DIR) probe=$(BENCH_DIR)/w1_probe $(if $(FLINK),flink=$(CURDIR)/benches/engine/flink/run.sh)

fmt:
	cargo fmt --all

#!/usr/bin/env bash
# Installs what the tests need beside the Rust tool chain: Node.js (Debian) and the npm message centre.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq nodejs npm
fi
cd smpp
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error
fi
echo "peers: node $(node --version), npm smpp $(node -p 'require("smpp/package.json").version')"

# Everything a person types. Each target installs what it misses, says so, and does only what has changed.

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
BINARY := $(CARGO_TARGET_DIR)/release/signalbox
XTASK := cargo run --quiet --package xtask --
# `frontend` turns the browser half of `app` on; built together with the server, both halves would be on at once.
NATIVE := --workspace --exclude frontend
WASM := --package frontend --package app --features app/hydrate --target wasm32-unknown-unknown
# Server machinery that would make the download larger or fail in the browser.
NOT_IN_WASM := tokio|sqlx|axum|hyper|reqwest|ring|rustls|regex|chrono|storage|engine

BENCHES := deliver "deliver --batch 100 --events 100000" fanout neighbour mixed "rate 500" recover waiting integrations pages backlog

.DELETE_ON_ERROR:
.PHONY: run build dev check test torture bench bench-web release linker

run: release ## build the release and serve http://127.0.0.1:3000 with data in ./data
	exec $(BINARY) serve

build: release ## build the release; the last line printed is the path of the binary
	@echo $(BINARY)

dev: linker ## the same, quick to build and slow to run
	$(XTASK) setup
	$(XTASK) web --dev
	cargo build --package server
	@echo "After a change: Ctrl-C, then \`make dev\` again. A change of style or screens only: \`$(XTASK) web --dev\`, then restart."
	exec $(CARGO_TARGET_DIR)/debug/signalbox serve

check: linker ## formatting, lints, licences and rooms, what the browser downloads, the checked-in descriptions
	$(XTASK) setup --check
	cargo fmt --all -- --check
	cargo clippy $(NATIVE) --all-targets -- -D warnings
	cargo clippy $(WASM) -- -D warnings
	cargo deny --log-level error check bans licenses sources
	@if cargo tree $(WASM) --edges normal --prefix none | grep -E '^($(NOT_IN_WASM))(-|_| )'; then \
		echo "the crates above must not reach the browser: \`cargo tree $(WASM) --invert <crate>\` shows the way in"; exit 1; fi
	$(XTASK) web --budget
	$(XTASK) setup --tests
	$(XTASK) postgres -- cargo test $(NATIVE) -- schema_parity openapi

test: release ## every test: Rust on SQLite and a real PostgreSQL, then the browser against the release
	$(XTASK) setup --tests
	$(XTASK) postgres -- env SIGNALBOX_TEST_PYTHON=$(CARGO_TARGET_DIR)/python/bin/python SIGNALBOX_TEST_NODE_MODULES=$(CURDIR)/end2end/node_modules \
		cargo test $(NATIVE)
	SIGNALBOX_BIN=$(BINARY) PLAYWRIGHT_BROWSERS_PATH=$(CARGO_TARGET_DIR)/browsers npm --prefix end2end test

torture: linker ## kills, restarts, full disks and frozen nodes, many rounds of each; TORTURE_ROUNDS and TORTURE_SEED are heard
	$(XTASK) setup --tests
	$(XTASK) postgres -- env TORTURE_ROUNDS=$${TORTURE_ROUNDS:-200} SIGNALBOX_TEST_NODE_MODULES=$(CURDIR)/end2end/node_modules \
		cargo test --package server --test it -- --test-threads=1 --nocapture torture::

bench: release ## every figure of docs/BENCHMARKS.md on both databases, medians of three; the machine should do nothing else
	@for scenario in $(BENCHES); do $(BINARY) bench $$scenario --rounds 3 || exit 1; done
	$(XTASK) setup --tests
	@$(XTASK) postgres -- sh -c 'for scenario in $(BENCHES); do \
		$(BINARY) bench $$scenario --rounds 3 --database "$$SIGNALBOX_TEST_POSTGRES_URL" || exit 1; done'

bench-web: release ## the budgets of the screens, in a slow browser over a million deliveries; the machine should do nothing else
	$(XTASK) setup --tests
	PLAYWRIGHT_BROWSERS_PATH=$(CARGO_TARGET_DIR)/browsers $(BINARY) bench pages --browser "npm --silent --prefix end2end run bench"

release: linker
	$(XTASK) setup
	$(XTASK) web
	cargo build --release --package server

# The one thing xtask cannot install, because it is linked with it.
linker:
	@command -v cc >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
			|| { echo "missing: a C compiler. On Debian and Ubuntu type: sudo apt-get update && sudo apt-get install -y build-essential"; exit 1; }; \
		echo "installing build-essential with apt, a minute or two"; \
		apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends build-essential; }

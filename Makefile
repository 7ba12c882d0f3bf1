# One place for every command that a developer or CI runs; `make help` lists them.
#
# Everything is built with the release profile, lints and tests included: another profile would
# compile RocksDB a second time. The build goes to the cache directory, so that it outlives a
# checkout and is shared by all of them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kvorum
CARGO_TARGET_DIR ?= $(CACHE)/target
export CARGO_TARGET_DIR
KVORUM := $(CARGO_TARGET_DIR)/release/kvorum

# hash, lsm, btree or all.
ENGINE ?= hash
# Units of Redis's suite, such as "unit/type/string unit/expire"; empty for all that apply.
UNITS ?=
FUZZ_SECONDS ?= 600
CRASH_ROUNDS ?= 50
FAULT_ROUNDS ?= 200
COMMANDS ?= 10000000
SIMULATIONS ?= 500
PORT ?= 6379
# More arguments for the tool that a target runs, for example
#   make bench ARGS="--engines hash --tests SET,GET --pipeline 16"
ARGS ?=

step = @scripts/step

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | \
		while IFS=$$'\t' read -r name does; do printf 'make %-13s%s\n' "$$name" "$$does"; done

.PHONY: setup setup-build setup-fuzz
setup: ## install what building and testing need, where it is missing
	@scripts/setup all
setup-build:
	@scripts/setup build
setup-fuzz:
	@scripts/setup fuzz

.PHONY: build
build: setup-build ## build the server
	cargo build --release --locked --bin kvorum

.PHONY: run
run: build ## start a standalone server on port 6379 (PORT=)
	exec $(KVORUM) server --config configs/standalone.toml --port $(PORT) $(ARGS)

.PHONY: run-cluster
run-cluster: build ## start a cluster of three nodes on ports 7001 to 7003
	exec scripts/run-cluster $(KVORUM) $(ARGS)

.PHONY: test
test: setup ## everything that CI runs
	$(step) "formatting, clippy, documentation" $(MAKE) lint
	$(step) "build" cargo build --release --locked --bin kvorum
	$(step) "tests" $(MAKE) test-rust
	$(step) "redis's own tests" redis-tests/run --engine all
	$(step) "differential" $(MAKE) differential COMMANDS=200000
	$(step) "client libraries" tests/clients/run
	$(step) "crash loop" tests/crash/run --rounds 3
	$(step) "full disk" tests/crash/disk_full
	$(step) "crash loop, four shards" tests/crash/run --rounds 2 --shards 4 --engine hash
	$(step) "several shards" tests/shards/run
	$(step) "RDB both ways" tests/rdb/run --cluster
	$(step) "damaged payloads" tests/rdb/corrupt
	$(step) "robustness" tests/robustness/run
	$(step) "redis's own tests, cluster" redis-tests/run --cluster proxy
	$(step) "redis's own tests, cluster that redirects" redis-tests/run --cluster redirect
	$(step) "transactions" tests/transactions/run
	$(step) "cluster" tests/cluster/run
	$(step) "faults" tests/faults/run --rounds 13
	$(step) "planted defects" $(MAKE) faults-planted
	$(step) "failover" tests/faults/failover kill --rounds 3 --no-limits
	$(step) "a leader that wakes up" tests/faults/failover pause --rounds 5
	@scripts/step --summary

.PHONY: test-rust
test-rust: ## unit, integration and documentation tests
	cargo nextest run --release --locked $(ARGS)
	cargo test --release --locked --doc --quiet

.PHONY: lint
lint: setup ## rustfmt, clippy, documentation, dependencies
	cargo fmt --check
	cargo clippy --release --locked --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps --quiet
	scripts/check-dependencies

.PHONY: redis-tests
redis-tests: setup build ## Redis's own test suite (ENGINE=hash|lsm|btree|all UNITS="unit/type/string …")
	redis-tests/run --engine $(ENGINE) $(UNITS) $(ARGS)

.PHONY: clients
clients: setup build ## smoke tests with redis-py, ioredis and node-redis
	tests/clients/run --engine $(if $(filter all,$(ENGINE)),hash,$(ENGINE)) $(ARGS)

.PHONY: crash
crash: setup build ## the long crash loop (CRASH_ROUNDS=50) and the full disk
	tests/crash/run --rounds $(CRASH_ROUNDS) --verbose $(ARGS)
	tests/crash/disk_full --fsync everysec
	tests/crash/disk_full --fsync always
	tests/robustness/run --connections 10000 --load-seconds 60

.PHONY: cluster-tests
cluster-tests: setup build ## a cluster as users and operators meet it (ENGINE=hash|lsm|btree|all)
	tests/cluster/run --engines $(if $(filter all,$(ENGINE)),hash lsm btree,$(ENGINE)) $(ARGS)

.PHONY: faults
faults: setup build ## long fault rounds with the linearizability checker (FAULT_ROUNDS=200)
	tests/faults/run --rounds $(FAULT_ROUNDS) $(ARGS)

.PHONY: faults-planted
faults-planted: setup build ## show that the fault tests find two planted defects
	tests/faults/run --planted acknowledge --rounds 20 $(ARGS)
	tests/faults/run --planted read --rounds 20 $(ARGS)

.PHONY: failover
failover: setup build ## kill and pause leaders: 50 rounds of kill -9, 100 of SIGSTOP
	tests/faults/failover kill --rounds 50 $(ARGS)
	tests/faults/failover pause --rounds 100 $(ARGS)

.PHONY: simulate
simulate: setup-build ## simulate raft groups under seeded faults (SIMULATIONS=500)
	KVORUM_SIMULATIONS=$(SIMULATIONS) cargo nextest run --release --locked --lib --no-capture seeded_faults $(ARGS)

.PHONY: bench
bench: setup build ## throughput, CPU and memory beside redis-server; writes benches/compare/RESULTS.md
	benches/compare/run.py $(ARGS)

.PHONY: bench-cluster
bench-cluster: setup build ## what a cluster costs, beside standalone and etcd; writes benches/cluster/RESULTS.md
	benches/cluster/run.py $(ARGS)

.PHONY: bench-large
bench-large: setup-build build ## a data set four times its memory, LSM and B+ tree (root); writes benches/larger_than_memory/RESULTS.md
	benches/larger_than_memory/run.py $(ARGS)

.PHONY: microbench
microbench: setup-build ## criterion benchmarks of single parts
	cargo bench --locked $(ARGS)

.PHONY: ring-plot
ring-plot: setup-build ## draw docs/ring.svg: shares and movement of rings of 1 to 64 shards
	cargo run --release --locked --example ring_plot -- docs/ring.svg

.PHONY: complexity
complexity: setup-build ## docs/complexity.md: what every command costs on each engine
	UPDATE_DOCS=1 cargo nextest run --release --locked --test docs

.PHONY: differential
differential: setup build ## ten million random commands against redis-server and every engine (COMMANDS=)
	cargo build --release --locked --example differential
	tests/differential/run --commands $(COMMANDS) $(ARGS)

.PHONY: fuzz
fuzz: setup-fuzz ## every fuzz target, FUZZ_SECONDS (600) each
	scripts/fuzz $(FUZZ_SECONDS)

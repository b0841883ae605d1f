# The side-by-side benchmark. BENCH holds options of the run, for example BENCH="--quick --only fast_deploy".
BENCH ?=
# Two sources per round of deploys, five rounds.
BENCH_SOURCES ?= 10

.PHONY: bench bench-setup
bench-setup:
	@bench/setup/setup.sh $(BENCH_SOURCES)

bench: bench-setup ## pexvisor beside its peer; writes target/bench/results.json and table.md
	cargo build --release --locked -p pexvisor -p pexvisor-bench
	target/release/pexvisor-bench run $(BENCH)

# The demo runs a debug build: optimising takes minutes more, and Python's own start is what its times show.
.PHONY: demo
demo: ## from nothing to a deployed Dagster project, replaced under load without a failed call
	cargo build --locked -p pexvisor -p pexctl
	examples/demo.sh

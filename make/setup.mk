# What the tests need beside Rust, made from nothing under target/ and quick when it is there.
.PHONY: setup
setup: ## install what the tests need: system packages, Python environments, tools, test pexes
	@integration/setup/setup.sh

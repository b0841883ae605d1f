# The project's targets. `make help` lists them; each part's rules stand in make/.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Test pexes and code servers write byte code as they do on a user's machine.
unexport PYTHONDONTWRITEBYTECODE

include $(sort $(wildcard make/*.mk))

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/' | expand -t 18

# Lint and the test tiers. `test-container` and `test-vm` stand in their own file.

# The host tier is every test that starts a real process on this machine; tests of these binaries have tiers of their own.
OTHER_TIERS := binary(/^(container|vm)/)

.PHONY: lint test test-unit test-host
lint: ## formatting, clippy and rustdoc, warnings refused
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked

test: ## every tier, then which ran; fails if one did not
	@integration/setup/tiers.sh unit host container vm

test-unit: ## tests inside the crates; need nothing but Rust
	cargo nextest run --workspace --locked --lib --bins

test-host: setup ## the promises, against the real binaries and real pexes on this machine
	cargo build --workspace --bins --locked
	cargo nextest run --workspace --locked --tests -E 'kind(test) and not ($(OTHER_TIERS))'

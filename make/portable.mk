# The binaries for containers: linked against the oldest glibc that is promised, whatever this machine has.
# Optimised like a release, without link-time optimisation (see the profile in Cargo.toml).
PORTABLE_GLIBC := 2.28

.PHONY: portable
portable: ## pexvisor and pexctl for any image with glibc 2.28 or newer, in target/portable
	@integration/setup/portable.sh $(PORTABLE_GLIBC)

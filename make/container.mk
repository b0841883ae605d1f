# The container tier: the image of deploy/Dockerfile as the real PID 1 of real Docker containers.

.PHONY: test-container
test-container: setup portable ## pexvisor as PID 1 of Docker containers; brings a daemon when none runs
	@integration/setup/rootfs.sh
	integration/setup/with-docker.sh integration/setup/container-tier.sh

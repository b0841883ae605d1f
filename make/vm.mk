# The VM tier: pexvisor as the PID 1 of a machine with cgroup v2, which neither this machine nor its containers need have.

.PHONY: test-vm
test-vm: setup portable ## pexvisor as PID 1 of an emulated machine with cgroup v2
	@integration/setup/apt.sh qemu-system-x86 cpio
	@integration/setup/rootfs.sh
	@integration/setup/kernel.sh
	@integration/setup/initramfs.sh
	cargo nextest run --locked -p pexvisor-integration --test vm

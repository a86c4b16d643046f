set(processors x86_64 aarch64)
set(cpu_flags)
set(qemu_cpus_x86_64 Nehalem SandyBridge "Haswell,-fma" "Haswell,-xsave")

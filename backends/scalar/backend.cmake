set(processors x86_64 aarch64)

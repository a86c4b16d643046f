set(processors aarch64)
set(isa_flags -march=armv8.2-a+dotprod)

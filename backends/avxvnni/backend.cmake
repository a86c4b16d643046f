set(processors x86_64)
set(isa_flags -mavx2 -mfma -mavxvnni)

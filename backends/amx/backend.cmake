set(processors x86_64)
set(isa_flags -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mamx-tile -mamx-int8)
set(cpu_flags avx2 fma avx512f avx512bw avx512dq avx512vl avx512_vnni amx_tile amx_int8)
set(needs avx512vnni)

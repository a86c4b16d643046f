set(processors aarch64)
set(isa_flags -march=armv8.2-a+dotprod)
set(cpu_flags asimd asimddp)
set(qemu_cpus_aarch64 cortex-a76 neoverse-n1)
set(mca_cpus cortex-a55:Cortex-A55 "neoverse-n1:Neoverse N1, Cortex-A76" "neoverse-n2:Neoverse N2"
  "neoverse-v1:Neoverse V1" "neoverse-v2:Neoverse V2" "apple-m1:Apple M1")

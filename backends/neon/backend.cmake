set(processors aarch64)
set(isa_flags -march=armv8-a)
set(cpu_flags asimd)
set(qemu_cpus_aarch64 cortex-a53)
set(mca_cpus cortex-a53:Cortex-A53 cortex-a55:Cortex-A55 "cortex-a57:Cortex-A57, A72"
  "neoverse-n1:Neoverse N1, Cortex-A76" "neoverse-n2:Neoverse N2"
  "neoverse-v1:Neoverse V1" "neoverse-v2:Neoverse V2" "apple-m1:Apple M1")

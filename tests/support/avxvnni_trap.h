// vpdpbusd in its VEX encoding on CPUs that do not have it.
#pragma once

namespace bytegate::testing {

/// From the first call on, this process executes `vpdpbusd ymm, ymm, ymm/m256` in software where the CPU finds it
/// illegal: the kernels of avxvnni then run as they are, slowly, on any CPU with AVX2. Returns whether that works,
/// which it finds out by trying (an emulated CPU's signal frames may lack the upper halves of the registers).
bool trap_avxvnni();

}  // namespace bytegate::testing

#include <bytegate/model_file.h>

namespace bytegate {

StateDict quantize_dynamic(const StateDict& state_dict, const QuantizeOptions& options) {
  StateDict quantized = state_dict;
  quantized.layers = quantize_dynamic(state_dict.layers, options);
  return quantized;
}

}  // namespace bytegate

#include <bytegate/scheme.h>

namespace bytegate {

Scheme Scheme::torch(bool per_channel, int activation_bits) {
  if (activation_bits != 7 && activation_bits != 8) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {"Scheme::torch: activation_bits is ", activation_bits, ", accepted are 7 and 8"});
  }
  Scheme scheme;
  scheme.torch_ = true;
  scheme.per_channel_ = per_channel;
  scheme.activation_bits_ = activation_bits;
  return scheme;
}

std::string to_string(const Scheme& scheme) {
  if (!scheme.is_torch()) return "per_row";
  return detail::join_text(
      {"torch_per_", scheme.per_channel() ? "channel_" : "tensor_", scheme.activation_bits(), "bit"});
}

Scheme parse_scheme(std::string_view name) {
  if (name == "torch") return Scheme::torch();
  if (name == "accurate") return Scheme::per_row();
  std::string names = "torch";
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(false, 7),
                               Scheme::torch(true, 8), Scheme::torch(true, 7)}) {
    if (name == to_string(scheme)) return scheme;
    detail::append_text(names, {", ", to_string(scheme)});
  }
  detail::throw_error(ErrorCode::invalid_argument, {"there is no scheme '", name, "'; accepted: ", names});
}

}  // namespace bytegate

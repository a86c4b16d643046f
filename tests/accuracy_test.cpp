// The error of the per_row scheme, as SQNR in dB against PyTorch's float32 outputs of the reference cases, compared
// with PyTorch's own 8 bits and with the same scheme in plain doubles.
#include <map>

#include "tests/case_file.h"
#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/oracle.h"

namespace bytegate::testing {
namespace {

struct Figures {
  double accurate, torch, plain;  ///< dB
  double gain() const { return accurate - torch; }
};

Tensor plain_output(const Case& c, const Sequential& model) {
  const Tensor input = c.tensor("input");
  if (c.config.at("kind") != "lstm") return oracle::sequential(model, input, oracle::Arithmetic::accurate);
  const LSTM& layer = as<LSTM>(model.layers()[0].layer);
  const bool has_state = c.file.contains("h0");
  const LSTMState state = has_state ? LSTMState{c.tensor("h0"), c.tensor("c0")} : LSTMState();
  const auto lengths = c.file.contains("lengths") ? c.file.int64s("lengths") : std::vector<std::int64_t>();
  return oracle::lstm(layer.config(), float_cells(layer), input, has_state ? &state : nullptr, lengths,
                      oracle::Arithmetic::accurate)
      .output;
}

Figures measure(const Case& c, const Backend& backend) {
  const Sequential model = c.model(backend);
  QuantizeOptions torch;
  torch.scheme = Scheme::torch(c.per_channel(), 8);
  const Tensor reference = c.reference("float").output;
  // PyTorch cannot quantize some layers itself; the torch scheme replaces its result there.
  const Tensor theirs =
      c.torch_mode() ? c.reference("qint8_8bit").output : c.run(quantize_dynamic(model, torch)).output;
  return {sqnr(reference, c.run(quantize_dynamic(model)).output), sqnr(reference, theirs),
          sqnr(reference, plain_output(c, model))};
}

class AccuracyTest : public BackendTest {};

TEST_P(AccuracyTest, AgainstTorchAndPlain) {
  std::map<std::string, Figures> all;
  double sum = 0;
  for (const auto& path : case_paths(BYTEGATE_SOURCE_DIR "/tests/data/cases")) {
    const Case c = Case::load(path);
    if (!oracle::covers(c.model(backend()))) continue;  // torch_conformance judges those of other layers
    const Figures f = all[c.name] = measure(c, backend());
    sum += f.gain();
    EXPECT_GE(f.gain(), -1) << c.name << ": " << f.accurate << " dB, PyTorch " << f.torch << " dB";
    EXPECT_NEAR(f.accurate, f.plain, 0.3) << c.name;
  }
  ASSERT_GE(all.size(), 17u);
  EXPECT_GE(sum / static_cast<double>(all.size()), 2) << "mean gain";
  ASSERT_EQ(all.count("lstm_8"), 1u);
  EXPECT_GE(all["lstm_8"].gain(), 10) << "rows of different scale";
}

BYTEGATE_ON_EVERY_BACKEND(AccuracyTest);

}  // namespace
}  // namespace bytegate::testing

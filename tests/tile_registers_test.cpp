// Tile registers are shared with the caller's other code: a call that uses them leaves them released, one that does not
// leaves them as they were, and neither minds what another library left in them. On every backend that uses tiles.
#include <bytegate/layers.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_runs.h"
#include "tests/support/random.h"
#include "tests/support/tile_instructions.h"

namespace bytegate::testing {
namespace {

/// Another library's tiles: a configuration and data of its own.
class OtherLibrary {
 public:
  explicit OtherLibrary(std::uint8_t value) : data_(3 * 20, value) { configuration_.set(5, 3, 20); }

  void load() const {
    ldtilecfg(configuration_);
    tileloadd(5, data_.data(), 20);
  }
  bool still_there() const {
    if (!(sttilecfg() == configuration_)) return false;
    std::vector<std::uint8_t> now(data_.size());
    tilestored(now.data(), 20, 5);
    return now == data_;
  }

 private:
  TileConfiguration configuration_;
  std::vector<std::uint8_t> data_;
};

TileConfiguration released() {
  TileConfiguration none;
  none.palette = 0;
  return none;
}

class TileRegistersTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    tile_rows_ = backend().kernels->int8->tile_rows;
    if (tile_rows_ == 0) GTEST_SKIP() << "it has no tiles";
    Random random(1);
    const Tensor weight = random_tensor({70, 90}, random);
    const Linear layer(weight.view(), {});
    linear_.emplace(Linear::from_float(layer, {}, &backend()));
    plain_linear_.emplace(Linear::from_float(layer, {}, &scalar_backend()));
    many_ = random_tensor({70, 90}, random);
    expected_ = plain_linear_->forward(many_);
    few_ = random_tensor({static_cast<std::int64_t>(tile_rows_) - 1, 90}, random);
  }
  void TearDown() override {
    if (tile_rows_ > 0) tilerelease();
  }

  std::uint32_t tile_rows_ = 0;
  std::optional<Linear> linear_, plain_linear_;
  Tensor many_, few_, expected_;
};

TEST_P(TileRegistersTest, FewRowsLeaveThemAlone) {
  const OtherLibrary other(7);
  other.load();
  const Tensor y = linear_->forward(few_);
  EXPECT_TRUE(other.still_there());
  EXPECT_EQ(first_difference(y, plain_linear_->forward(few_)), "");
}

TEST_P(TileRegistersTest, ManyRowsReleaseThem) {
  EXPECT_EQ(first_difference(linear_->forward(many_), expected_), "");
  EXPECT_EQ(sttilecfg(), released());
}

TEST_P(TileRegistersTest, AnotherLibraryBetweenCalls) {
  for (std::uint8_t i = 0; i < 4; ++i) {
    const OtherLibrary other(i);
    other.load();
    EXPECT_TRUE(other.still_there());
    EXPECT_EQ(first_difference(linear_->forward(many_), expected_), "");
    other.load();
    EXPECT_TRUE(other.still_there());
  }
}

TEST_P(TileRegistersTest, AnotherLibraryInOtherThreads) {
  std::atomic<bool> done = false;
  std::atomic<int> lost = 0;
  std::vector<std::thread> threads;
  for (std::uint8_t i = 1; i < 3; ++i) {
    threads.emplace_back([&, i] {
      const OtherLibrary other(i);
      other.load();
      while (!done) lost += other.still_there() ? 0 : 1;
      tilerelease();
    });
  }
  const OtherLibrary mine(9);
  for (int i = 0; i < 10; ++i) {
    mine.load();
    EXPECT_EQ(first_difference(linear_->forward(many_), expected_), "");
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lost, 0);
}

TEST_P(TileRegistersTest, LstmOfABatch) {
  const LstmKind per_row = lstm_kinds()[1];
  const OtherLibrary other(3);
  for (std::int64_t batch : {std::int64_t{tile_rows_}, std::int64_t{17}, std::int64_t{40}}) {
    Random random(2);
    LstmCase lstm;
    lstm.config = {.input_size = 20, .hidden_size = 33};
    lstm.steps = 5;
    lstm.batch = batch;
    fill(lstm, random);
    const LSTMResult expected = run(lstm, per_row, scalar_backend());
    other.load();
    EXPECT_EQ(first_difference(run(lstm, per_row, backend()).output, expected.output), "");
    EXPECT_EQ(sttilecfg(), released());
  }
}

BYTEGATE_ON_EVERY_BACKEND(TileRegistersTest);

}  // namespace
}  // namespace bytegate::testing

// A child of fork() has none of its parent's other threads. A workspace of the parent's works there, with the same
// bits.
#include <bytegate/model.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "tests/support/compare.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

/// Runs f in a child, which must end by itself within 20 seconds; the exit code is 0 if f returns true.
template <class F>
int exit_code_of_child(const F& f) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(f() ? 0 : 1);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class ForkTest : public ::testing::Test {
 protected:
  ForkTest() {
    Random random(1);
    const LSTMConfig config{.input_size = 64, .hidden_size = 256};
    lstm_.emplace(LSTM::from_float(LSTM(config, to_cells(random_cells(config, random)))));
    gru_.emplace(GRU::from_float(GRU(config, to_cells(random_cells(config, random, 1, 3)))));
    linear_.emplace(random_tensor({256, 512}, random).view(), ConstTensorView{});
    batch_ = random_tensor({12, 64, 64}, random);   // by rows
    single_ = random_tensor({200, 1, 64}, random);  // by hidden units, with a barrier a step
    rows_ = random_tensor({64, 512}, random);
  }

  bool all_right(Workspace& workspace) const {
    const auto right = [&](const Tensor& x) {
      for (const RecurrentLayer* layer : std::initializer_list<const RecurrentLayer*>{&*lstm_, &*gru_}) {
        Tensor y(layer->output_shape(x.shape));
        layer->forward(x.view(), y.view(), {}, workspace);
        if (!first_difference(y, layer->forward(x).output).empty()) return false;
      }
      return true;
    };
    Tensor y(Shape{64, 256});
    linear_->forward(rows_.view(), y.view(), workspace);
    return right(batch_) && right(single_) && first_difference(y, linear_->forward(rows_)).empty();
  }

  std::optional<LSTM> lstm_;
  std::optional<GRU> gru_;
  std::optional<Linear> linear_;
  Tensor batch_, single_, rows_;
};

TEST_F(ForkTest, ChildUsesTheParentsWorkspace) {
  Workspace workspace(3);
  ASSERT_TRUE(all_right(workspace));
  EXPECT_EQ(exit_code_of_child([&] { return all_right(workspace); }), 0);
  EXPECT_TRUE(all_right(workspace)) << "the parent goes on";
}

TEST_F(ForkTest, ChildEndsTheParentsWorkspaceAndMakesItsOwn) {
  std::optional<Workspace> workspace(std::in_place, 3);
  ASSERT_TRUE(all_right(*workspace));
  const auto child = [&] {
    workspace.reset();
    Workspace own(3);
    return all_right(own) && exit_code_of_child([&] { return all_right(own); }) == 0;
  };
  EXPECT_EQ(exit_code_of_child(child), 0);
  EXPECT_TRUE(all_right(*workspace));
}

}  // namespace
}  // namespace bytegate::testing

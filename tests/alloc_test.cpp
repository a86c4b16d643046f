// forward allocates nothing once its workspace has been used with the shapes. All forms of operator new are counted,
// and so are malloc and the like unless a sanitizer has replaced them.
#include <bytegate/model.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/support/backend_test.h"
#include "tests/support/lstm_runs.h"
#include "tests/support/random.h"
#include "tests/support/sample_layers.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(BYTEGATE_SANITIZED)
#define BYTEGATE_COUNT_MALLOC 1
#endif

namespace {
std::atomic<long> allocations{0};
std::atomic<long> fails_in{0};  ///< the allocation by operator new that throws, counted from now on; 0: none
}  // namespace

#ifdef BYTEGATE_COUNT_MALLOC
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t n) {
  ++allocations;
  return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) {
  ++allocations;
  return __libc_calloc(n, size);
}
void* realloc(void* p, std::size_t n) {
  ++allocations;
  return __libc_realloc(p, n);
}
void* memalign(std::size_t alignment, std::size_t n) {
  ++allocations;
  return __libc_memalign(alignment, n);
}
void* aligned_alloc(std::size_t alignment, std::size_t n) {
  ++allocations;
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** p, std::size_t alignment, std::size_t n) {
  ++allocations;
  *p = __libc_memalign(alignment, n);
  return *p ? 0 : 12;  // ENOMEM
}
void free(void* p) { __libc_free(p); }
}
#endif

namespace {

void* counted(std::size_t n, std::size_t alignment = sizeof(void*)) {
  ++allocations;
  if (fails_in > 0 && --fails_in == 0) throw std::bad_alloc();
  void* p = nullptr;
  if (posix_memalign(&p, alignment < sizeof(void*) ? sizeof(void*) : alignment, n == 0 ? 1 : n) != 0)
    throw std::bad_alloc();
  return p;
}

}  // namespace

// Not inline: g++ would warn that the free in them does not match new.
#define NOINLINE __attribute__((noinline))
NOINLINE void* operator new(std::size_t n) { return counted(n); }
NOINLINE void* operator new[](std::size_t n) { return counted(n); }
NOINLINE void* operator new(std::size_t n, std::align_val_t a) { return counted(n, static_cast<std::size_t>(a)); }
NOINLINE void* operator new[](std::size_t n, std::align_val_t a) { return counted(n, static_cast<std::size_t>(a)); }
NOINLINE void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return counted(n); }
NOINLINE void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
NOINLINE void operator delete(void* p) noexcept { std::free(p); }
NOINLINE void operator delete[](void* p) noexcept { std::free(p); }
NOINLINE void operator delete(void* p, std::size_t) noexcept { std::free(p); }
NOINLINE void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
NOINLINE void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
NOINLINE void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
NOINLINE void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
NOINLINE void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace bytegate::testing {
namespace {

#ifdef BYTEGATE_COUNT_MALLOC
constexpr long kMallocUnderNew = 1;  // operator new above counts, and the memory it asks for
#else
constexpr long kMallocUnderNew = 0;
#endif

/// Allocations of the second of two equal calls.
template <class Call>
long allocations_of_second(const Call& call) {
  call();
  const long before = allocations.load();
  call();
  return allocations.load() - before;
}

class AllocTest : public BackendTest {};

// The counter itself. The pointers go through volatile variables: a compiler may leave out an allocation that nobody
// looks at.
TEST(AllocCounter, Counts) {
  struct alignas(128) Big {
    char bytes[256];
  };
  int* volatile ints = nullptr;
  Big* volatile big = nullptr;
  EXPECT_EQ(allocations_of_second([&] {
              ints = new int[100];
              delete[] ints;
            }),
            1 + kMallocUnderNew);
  EXPECT_EQ(allocations_of_second([&] {
              big = new Big;
              delete big;
            }),
            1 + kMallocUnderNew);
#ifdef BYTEGATE_COUNT_MALLOC
  void* volatile plain = nullptr;
  EXPECT_EQ(allocations_of_second([&] {
              plain = std::malloc(10);
              std::free(plain);
            }),
            1);
#endif
}

TEST_P(AllocTest, Linear) {
  Random random(1);
  for (std::int64_t rows : {1, 3, 900}) {
    const Tensor weight = random_tensor({70, 130}, random), bias = random_tensor({70}, random),
                 x = random_tensor({rows, 130}, random);
    Tensor y(Shape{rows, 70});
    const Linear layer(weight.view(), bias.view(), true, &backend());
    Workspace workspace;
    EXPECT_EQ(allocations_of_second([&] { layer.forward(x.view(), y.view(), workspace); }), 0);
    for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(true, 7)}) {
      const auto quantized = Linear::from_float(layer, scheme);
      EXPECT_EQ(allocations_of_second([&] { quantized.forward(x.view(), y.view(), workspace); }), 0)
          << to_string(scheme);
    }
  }
}

TEST_P(AllocTest, Lstm) {
  const int count = size() == 0 ? 10 : 150;
  for (int seed = 0; seed < count; ++seed) {
    const LstmCase c = random_lstm_case(static_cast<std::uint64_t>(seed));
    SCOPED_TRACE(c.text());
    Tensor y(c.x.shape.with_back(c.config.directions() * c.config.output_size()));
    LSTMState end = c.has_state ? c.state : c.zero_state();
    LSTMArgs args = state_in_place(end);
    args.lengths = c.lengths;
    for (const LstmKind& kind : lstm_kinds(c)) {
      const AnyLstm layer(c, kind, backend());
      Workspace workspace;
      EXPECT_EQ(allocations_of_second([&] { layer.forward(c.x.view(), y.view(), args, workspace); }), 0) << kind.name;
    }
  }
}

TEST_P(AllocTest, EveryKind) {
  for (const SampleLayer& sample : sample_layers(backend())) {
    for (const NamedForm& form : forms_of(sample)) {
      const Tensor x = sample_input(*form.layer, sample.input, 1);
      const std::vector<std::int64_t> indices(x.data.begin(), x.data.end());
      Tensor y(form.layer->output_shape(x.shape));
      for (const int threads : {1, 3}) {
        Workspace workspace(threads);
        EXPECT_EQ(allocations_of_second([&] {
                    if (form.layer->takes_indices())
                      form.layer->forward(IndexView{indices.data(), x.shape}, y.view(), workspace, nullptr);
                    else
                      form.layer->forward(x.view(), y.view(), workspace, nullptr);
                  }),
                  0)
            << form.name << ", threads: " << threads;
      }
    }
  }
}

/// Indices [4, 3] -> [4, 7].
Sequential sample_model(const Backend& backend) {
  Random random(5);
  Sequential model;
  model.add("encoder", Embedding(random_tensor({20, 12}, random).view()));
  LSTMConfig first, second;
  first.input_size = 12;
  first.hidden_size = 24;
  first.proj_size = 9;
  first.num_layers = 2;
  second.input_size = 9;
  second.hidden_size = 10;
  model.add("lstm", LSTM(first, to_cells(random_cells(first, random)), &backend));
  model.add("relu", ReLU());
  model.add("lstm2", LSTM(second, to_cells(random_cells(second, random)), &backend));
  model.add("flatten", Flatten());
  model.add("decoder", Linear(random_tensor({7, 30}, random).view(), {}, false, &backend));
  return model;
}

TEST_P(AllocTest, SequentialWithState) {
  QuantizeOptions options;
  options.kinds = {"linear", "lstm", "embedding"};
  const Sequential model = sample_model(backend());
  for (const Sequential& m : {model, quantize_dynamic(model, options)}) {
    const std::vector<std::int64_t> indices = {1, 5, 19, 0, 7, 7, 3, 2, 11, 4, 9, 13};
    const IndexView x{indices.data(), Shape{4, 3}};
    Tensor y(m.output_shape(x.shape));
    ASSERT_EQ(y.shape, (Shape{4, 7}));
    Workspace workspace;
    ModelState state;
    EXPECT_EQ(allocations_of_second([&] { m.forward(x, y.view(), workspace, &state); }), 0);
    EXPECT_EQ(allocations_of_second([&] { m.forward(x, y.view(), workspace); }), 0);
    EXPECT_EQ(state.layers.size(), m.layers().size());
  }
}

// The other threads of a workspace allocate nothing either.
TEST_P(AllocTest, SeveralThreads) {
  Random random(7);
  LstmCase c;
  c.config.input_size = 33;
  c.config.hidden_size = 263;
  c.config.bidirectional = true;
  c.steps = 5;
  c.batch = 3;
  c.lengths = {2, 5, 3};
  fill(c, random);
  Tensor y(c.x.shape.with_back(2 * 263));
  const Linear linear(random_tensor({1001, 1500}, random).view(), {}, false, &backend());
  const Tensor x = random_tensor({3, 1500}, random);
  Tensor linear_y(Shape{3, 1001});
  for (const LstmKind& kind : {lstm_kinds()[0], lstm_kinds()[1]}) {
    const AnyLstm layer(c, kind, backend());
    Workspace workspace(3);
    EXPECT_EQ(allocations_of_second([&] {
                layer.forward(c.x.view(), y.view(), {{}, {}, {}, {}, c.lengths}, workspace);
              }),
              0)
        << kind.name;
    EXPECT_EQ(allocations_of_second([&] { linear.forward(x.view(), linear_y.view(), workspace); }), 0);
  }
}

// A call that runs out of memory has written nothing. The pieces of this input are larger in the second block of rows
// than in the first, part of which is padding.
TEST_P(AllocTest, FailsBeforeItWrites) {
  Random random(8);
  Conv1dConfig config;
  config.in_channels = 32;
  config.out_channels = 5;
  config.kernel_size = 19;
  config.padding = 9;
  config.channels_last = true;
  const Conv1d conv(config, random_tensor({5, 32, 19}, random).view(), {}, &backend());
  const Tensor x = random_tensor({1, 400, 32}, random);
  for (const Conv1d& layer : {conv, Conv1d::from_float(conv), Conv1d::from_float(conv, Scheme::torch(true, 8))}) {
    for (const int threads : {1, 3}) {
      for (long failing = 1;; ++failing) {
        ASSERT_LT(failing, 100);
        Workspace workspace(threads);
        Tensor y(Shape{1, 400, 5}, std::vector<float>(2000, 7.0f));
        bool failed = false;
        fails_in = failing;
        try {
          layer.forward(x.view(), y.view(), workspace);
        } catch (const std::bad_alloc&) {
          failed = true;
        }
        fails_in = 0;
        if (!failed) {
          EXPECT_GT(failing, 1);
          break;
        }
        for (float v : y.data) ASSERT_EQ(v, 7.0f) << "allocation " << failing << ", threads " << threads;
      }
    }
  }
}

// A workspace that has served a larger call serves a smaller one as it is, and does not grow with the number of steps.
TEST_P(AllocTest, WorkspaceIsKept) {
  Random random(6);
  LstmCase c;
  c.config.input_size = 20;
  c.config.hidden_size = 40;
  c.steps = 5000;
  fill(c, random);
  const AnyLstm layer(c, lstm_kinds()[1], backend());
  Tensor y(c.x.shape.with_back(40));
  Workspace workspace;
  layer.forward(c.x.view(), y.view(), {}, workspace);
  const std::size_t held = workspace.bytes();
  EXPECT_LT(held, std::size_t{2} << 20);  // the output alone has 800,000 bytes, the input gates of all steps 3,200,000
  for (std::int64_t steps : {1, 2, 100, 4999, 5000}) {
    const long before = allocations.load();
    layer.forward({c.x.data.data(), Shape{steps, 1, 20}}, {y.data.data(), Shape{steps, 1, 40}}, {}, workspace);
    EXPECT_EQ(allocations.load() - before, 0) << steps << " steps";
  }
  EXPECT_EQ(workspace.bytes(), held);
}

BYTEGATE_ON_EVERY_BACKEND(AllocTest);

}  // namespace
}  // namespace bytegate::testing

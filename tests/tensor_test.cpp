// Shapes, tensors and buffers at the ends of what they accept.
#include <bytegate/tensor.h>

#include <type_traits>
#include <utility>

#include "layers/core/buffer.h"
#include "tests/io_testing.h"

namespace bytegate::testing {
namespace {

using detail::AlignedBuffer;

TEST(ShapeTest, WithoutDimensions) {
  // Where back() looked in front of the dimensions, it found whatever was there: here a member of the same struct.
  struct {
    std::int64_t before = 77;
    Shape shape;
  } s;
  EXPECT_EQ(s.shape.back(), 1);
  EXPECT_EQ(s.before, 77);
  expect_error(ErrorCode::shape_mismatch, {"without dimensions"}, [] { static_cast<void>(Shape().with_back(3)); });
  EXPECT_EQ((Shape{2, 5}).back(), 5);
  EXPECT_EQ((Shape{2, 5}).with_back(0), (Shape{2, 0}));
}

// `data` is public: a view of a tensor whose data was resized would reach past its end.
TEST(TensorTest, ViewsAreOfTheWholeShape) {
  Tensor tensor(Shape{2, 3});
  const Tensor& constant = tensor;
  EXPECT_EQ(tensor.view().data, tensor.data.data());
  for (const std::size_t size : {5u, 7u, 0u}) {
    tensor.data.resize(size);
    const std::string values = std::to_string(size) + " values";
    expect_error(ErrorCode::shape_mismatch, {values, "[2, 3]"}, [&] { static_cast<void>(tensor.view()); });
    expect_error(ErrorCode::shape_mismatch, {values, "[2, 3]"}, [&] { static_cast<void>(constant.view()); });
  }
  tensor.data.resize(6);
  EXPECT_EQ(constant.view().shape, (Shape{2, 3}));
}

TEST(AlignedBufferTest, HasNoBytesOnceMovedFrom) {
  AlignedBuffer first(100);
  std::byte* const data = first.data();
  AlignedBuffer second(std::move(first));
  EXPECT_EQ(first.bytes(), 0u);  // NOLINT: what a moved buffer holds is what is tested
  EXPECT_EQ(first.data(), nullptr);
  EXPECT_EQ(second.bytes(), 100u);
  EXPECT_EQ(second.data(), data);
  AlignedBuffer third(7);
  third = std::move(second);
  EXPECT_EQ(second.bytes(), 0u);
  EXPECT_EQ(second.data(), nullptr);
  EXPECT_EQ(third.bytes(), 100u);
  EXPECT_EQ(third.data(), data);
}

}  // namespace
}  // namespace bytegate::testing

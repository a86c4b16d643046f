// What the tile instructions compute and touch, the same on hardware and under the trap that stands in for it.
// tile_faults_test.cpp has what they refuse.
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/child.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/tile_test.h"

namespace bytegate::testing {
namespace {

/// Rows of bytes in memory, in rising or falling order, with other bytes between them.
class Rows {
 public:
  Rows(std::size_t rows, std::size_t colsb, Random& random)
      : rows_(rows),
        colsb_(colsb),
        distance_(colsb + static_cast<std::size_t>(random.pick({0, 0, 1, 4, 13, 64}))),
        falling_(random.chance(20)),
        bytes_(rows * distance_) {
    for (std::uint8_t& byte : bytes_) byte = static_cast<std::uint8_t>(random.next());
  }

  std::uint8_t* row(std::size_t r) { return bytes_.data() + (falling_ ? rows_ - 1 - r : r) * distance_; }
  const std::uint8_t* row(std::size_t r) const { return const_cast<Rows*>(this)->row(r); }
  std::ptrdiff_t stride() const {
    const auto distance = static_cast<std::ptrdiff_t>(distance_);
    return falling_ ? -distance : distance;
  }
  std::size_t rows() const { return rows_; }
  std::size_t colsb() const { return colsb_; }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }

  std::uint32_t element(std::size_t r, std::size_t c) const {
    std::uint32_t value;
    std::memcpy(&value, row(r) + 4 * c, sizeof value);
    return value;
  }
  void set_element(std::size_t r, std::size_t c, std::uint32_t value) {
    std::memcpy(row(r) + 4 * c, &value, sizeof value);
  }

 private:
  std::size_t rows_, colsb_, distance_;
  bool falling_;
  std::vector<std::uint8_t> bytes_;
};

struct Product {
  const char* name;
  void (*run)(unsigned c);
  bool a_signed, b_signed;
};
constexpr Product kProducts[] = {{"tdpbuud", tdpbuud, false, false},
                                 {"tdpbusd", tdpbusd, false, true},
                                 {"tdpbsud", tdpbsud, true, false},
                                 {"tdpbssd", tdpbssd, true, true}};

std::int64_t value_of(std::uint8_t byte, bool is_signed) {
  return is_signed ? std::int64_t{std::bit_cast<std::int8_t>(byte)} : std::int64_t{byte};
}

/// sums[m][n] += sum over k of a[m][k] * b[k / 4][4 * n + k % 4].
void multiply(const Product& product, const Rows& a, const Rows& b, Rows& sums) {
  for (std::size_t m = 0; m < sums.rows(); ++m) {
    for (std::size_t n = 0; n < sums.colsb() / 4; ++n) {
      std::int64_t sum = 0;
      for (std::size_t k = 0; k < a.colsb(); ++k)
        sum += value_of(a.row(m)[k], product.a_signed) * value_of(b.row(k / 4)[4 * n + k % 4], product.b_signed);
      sums.set_element(m, n, sums.element(m, n) + static_cast<std::uint32_t>(sum));
    }
  }
}

/// A product of random tiles of random size: whether all of memory is then as it must be.
bool product_is_right(const Product& product, Random& random) {
  const auto size = [&] { return static_cast<std::size_t>(random.chance(30) ? 16 : random.integer(1, 16)); };
  const std::size_t m = size(), k = size(), n = size();
  const Rows a(m, 4 * k, random), b(k, 4 * n, random);
  Rows c(m, 4 * n, random), stored(m, 4 * n, random);
  const auto tile = static_cast<unsigned>(random.integer(0, 7));
  TileConfiguration configuration;
  configuration.set(tile, m, 4 * n);
  configuration.set((tile + 3) % 8, m, 4 * k);
  configuration.set((tile + 6) % 8, k, 4 * n);
  ldtilecfg(configuration);
  tileloadd(tile, c.row(0), c.stride());
  tileloadd((tile + 3) % 8, a.row(0), a.stride());
  tileloaddt1((tile + 6) % 8, b.row(0), b.stride());
  product.run(tile);
  product.run(tile);
  Rows expected = stored;
  tilestored(stored.row(0), stored.stride(), tile);
  for (int i = 0; i < 2; ++i) multiply(product, a, b, c);
  for (std::size_t r = 0; r < m; ++r) std::copy_n(c.row(r), c.colsb(), expected.row(r));
  return stored.bytes() == expected.bytes();
}

TEST_F(TileTest, Products) {
  Random random(1);
  const int count = test_size() == 0 ? 20 : test_size() == 1 ? 500 : 5000;
  for (const Product& product : kProducts) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(product_is_right(product, random)) << product.name << " " << i;
  }
}

std::vector<std::uint8_t> random_bytes(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint8_t> bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
  return bytes;
}

std::vector<std::uint8_t> stored(unsigned tile, std::size_t rows, std::size_t colsb) {
  std::vector<std::uint8_t> bytes(rows * colsb, 0xee);
  tilestored(bytes.data(), static_cast<std::ptrdiff_t>(colsb), tile);
  return bytes;
}

TEST_F(TileTest, AConfigurationBeginsWithZeros) {
  TileConfiguration c;
  for (std::size_t t = 0; t < 8; ++t) c.set(t, 16, 64);
  const std::vector<std::uint8_t> bytes = random_bytes(1024, 2), zeros(1024);
  ldtilecfg(c);
  for (unsigned t = 0; t < 8; ++t) tileloadd(t, bytes.data(), 64);
  tilezero(5);
  for (unsigned t = 0; t < 8; ++t) EXPECT_EQ(stored(t, 16, 64), t == 5 ? zeros : bytes) << t;
  ldtilecfg(c);
  for (unsigned t = 0; t < 8; ++t) EXPECT_EQ(stored(t, 16, 64), zeros) << t;
}

TEST_F(TileTest, AConfigurationIsStoredAsItWasLoaded) {
  tilerelease();
  TileConfiguration none;
  none.palette = 0;
  EXPECT_EQ(sttilecfg(), none);
  TileConfiguration c;
  c.start_row = 3;
  for (std::size_t t = 0; t < 7; ++t) c.set(t, t + 1, 64 - t);
  ldtilecfg(c);
  const TileConfiguration saved = sttilecfg();
  EXPECT_EQ(saved, c);
  TileConfiguration other;  // as one library uses tiles between two uses of another
  other.set(0, 16, 64);
  ldtilecfg(other);
  EXPECT_EQ(sttilecfg(), other);
  ldtilecfg(saved);
  EXPECT_EQ(sttilecfg(), c);
  c.palette = 0;  // releases the tiles; what follows is not looked at
  c.reserved.fill(1);
  c.rows.fill(200);
  ldtilecfg(c);
  EXPECT_EQ(sttilecfg(), none);
}

TEST_F(TileTest, LoadsAndStoresBeginAtTheStartRow) {
  TileConfiguration c;
  c.set(0, 5, 8);
  c.start_row = 2;
  const std::vector<std::uint8_t> bytes = random_bytes(40, 3);
  ldtilecfg(c);
  tileloadd(0, bytes.data(), 8);
  EXPECT_EQ(sttilecfg().start_row, 0);
  std::vector<std::uint8_t> expected(bytes);
  std::fill_n(expected.begin(), 16, 0);
  EXPECT_EQ(stored(0, 5, 8), expected);
}

// Each form of address, with each register as base and index.
struct Address {
  const char* form;
  std::ptrdiff_t displacement, scale;
  void (*load)(const void* base, std::ptrdiff_t index);
};
#define BYTEGATE_ADDRESS(base_register, index_register, scale, displacement)                                        \
  Address {                                                                                                         \
#displacement "(" base_register "," index_register "," #scale ")", displacement, scale,                           \
        [](const void* base, std::ptrdiff_t index) {                                                                  \
          asm volatile("xchg %%rax, %%" base_register "\n\txchg %%rdx, %%" index_register                             \
                       "\n\ttileloadd " #displacement "(%%" base_register ", %%" index_register ", " #scale           \
                       "), %%tmm0\n\txchg %%rdx, %%" index_register "\n\txchg %%rax, %%" base_register                \
                       :                                                                                              \
                       : "a"(base), "d"(index)                                                                        \
                       : "memory");                                                                                   \
        } \
  }
const Address kAddresses[] = {BYTEGATE_ADDRESS("rax", "rdx", 1, 0),    BYTEGATE_ADDRESS("rcx", "rbx", 1, 0),
                              BYTEGATE_ADDRESS("rbx", "rcx", 2, 64),   BYTEGATE_ADDRESS("rbp", "rsi", 4, 0),
                              BYTEGATE_ADDRESS("rsi", "rbp", 8, -8),   BYTEGATE_ADDRESS("rdi", "r8", 1, 128),
                              BYTEGATE_ADDRESS("r8", "rdi", 1, -4096), BYTEGATE_ADDRESS("r9", "r10", 2, 0),
                              BYTEGATE_ADDRESS("r10", "r9", 4, 127),   BYTEGATE_ADDRESS("r11", "r12", 8, 0),
                              BYTEGATE_ADDRESS("r12", "r11", 1, 0),    BYTEGATE_ADDRESS("r13", "r14", 1, 0),
                              BYTEGATE_ADDRESS("r14", "r13", 1, 4096), BYTEGATE_ADDRESS("r15", "rbx", 1, 0),
                              BYTEGATE_ADDRESS("rbx", "r15", 1, 0),    BYTEGATE_ADDRESS("rbp", "r12", 1, 8),
                              BYTEGATE_ADDRESS("r12", "rbp", 1, 8),    BYTEGATE_ADDRESS("r13", "rsi", 1, 300)};
#undef BYTEGATE_ADDRESS

TEST_F(TileTest, AddressesOfRows) {
  TileConfiguration c;
  c.set(0, 3, 12);
  ldtilecfg(c);
  const std::vector<std::uint8_t> bytes = random_bytes(1024, 4);
  const auto rows_at = [&](std::size_t stride) {
    std::vector<std::uint8_t> rows;
    for (std::size_t r = 0; r < 3; ++r) rows.insert(rows.end(), &bytes[r * stride], &bytes[r * stride + 12]);
    return rows;
  };
  for (const Address& address : kAddresses) {
    tilezero(0);
    address.load(reinterpret_cast<const void*>(reinterpret_cast<std::intptr_t>(bytes.data()) - address.displacement),
                 64 / address.scale);
    EXPECT_EQ(stored(0, 3, 12), rows_at(64)) << address.form;
  }
  // tileloadd (%rax), %tmm0: without an index the stride is 0.
  asm volatile(".byte 0xc4, 0xe2, 0x7b, 0x4b, 0x04, 0x20" : : "a"(bytes.data()) : "memory");
  EXPECT_EQ(stored(0, 3, 12), rows_at(0));
  void* const fixed = reinterpret_cast<void*>(0x10000000);
  ASSERT_EQ(mmap(fixed, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), fixed);
  std::memcpy(fixed, bytes.data(), bytes.size());
  asm volatile("tileloadd 0x10000000(,%0,1), %%tmm0" : : "r"(std::ptrdiff_t{20}) : "memory");
  EXPECT_EQ(stored(0, 3, 12), rows_at(20));
  munmap(fixed, 4096);
}

TileConfiguration global_configuration;

TEST_F(TileTest, AddressesOfConfigurations) {
  TileConfiguration c, to[3];
  c.set(4, 7, 32);
  global_configuration = c;
  asm volatile("ldtilecfg %0" : : "m"(global_configuration) : "memory");  // relative to rip
  asm volatile("sttilecfg 64(%0)" : : "r"(to) : "memory");
  EXPECT_EQ(to[1], c);
  asm volatile("sttilecfg -0x1000(%0,%1,8)" : : "r"(to), "r"(std::ptrdiff_t{512 + 16}) : "memory");
  EXPECT_EQ(to[2], c);
  asm volatile("xchg %%r13, %%rax\n\tsttilecfg (%%r13)\n\txchg %%r13, %%rax" : : "a"(to) : "memory");
  EXPECT_EQ(to[0], c);
  asm volatile(
      "lea -512(%%rsp), %%rsp\n\t"
      "sttilecfg 64(%%rsp)\n\t"
      "tilerelease\n\t"
      "ldtilecfg 64(%%rsp)\n\t"
      "lea 512(%%rsp), %%rsp"
      :
      :
      : "memory");
  EXPECT_EQ(sttilecfg(), c);
  asm volatile("sttilecfg %0" : "=m"(global_configuration) : : "memory");
  EXPECT_EQ(global_configuration, c);
}

TEST_F(TileTest, TouchRowsAndNothingElse) {
  for (bool at_end : {true, false}) {
    for (std::size_t rows : {1u, 2u, 15u, 16u}) {
      for (std::size_t colsb : {4u, 12u, 60u, 64u}) {
        const GuardedMemory memory(rows * colsb, at_end), other(64, at_end);
        const std::vector<std::uint8_t> bytes = random_bytes(rows * colsb, rows);
        std::memcpy(memory.data(), bytes.data(), bytes.size());
        auto* c = new (other.data()) TileConfiguration;
        c->set(2, rows, colsb);
        ldtilecfg(*c);
        tileloadd(2, memory.data(), static_cast<std::ptrdiff_t>(colsb));
        std::memset(memory.data(), 0, bytes.size());
        tilestored(memory.data(), static_cast<std::ptrdiff_t>(colsb), 2);
        EXPECT_EQ(std::memcmp(memory.data(), bytes.data(), bytes.size()), 0) << rows << " rows of " << colsb;
      }
    }
  }
}

TEST_F(TileTest, EachThreadHasItsOwn) {
  tilerelease();
  bool begins_empty = false, right[2] = {true, true};
  const auto work = [&](std::size_t id) {
    if (id == 0) begins_empty = sttilecfg().palette == 0;
    Random random(id);
    for (int i = 0; i < 300; ++i) {
      right[id] = product_is_right(kProducts[1], random) && right[id];
      TileConfiguration c = sttilecfg();
      std::this_thread::yield();
      right[id] = sttilecfg() == c && right[id];
    }
    tilerelease();
  };
  TileConfiguration c;
  c.set(1, 2, 4);
  std::thread first(work, 0), second(work, 1);
  const std::vector<std::uint8_t> bytes = random_bytes(8, 5);
  ldtilecfg(c);
  tileloadd(1, bytes.data(), 4);
  first.join();
  second.join();
  EXPECT_TRUE(begins_empty);
  EXPECT_TRUE(right[0] && right[1]);
  EXPECT_EQ(sttilecfg(), c);
  EXPECT_EQ(stored(1, 2, 4), bytes);
}

// What Linux copies is not stated anywhere, so this is a test of the trap, and of a parent that goes on.
TEST_F(TileTest, AChildProcessHasItsParentsTiles) {
  TileConfiguration c;
  c.set(1, 2, 4);
  ldtilecfg(c);
  const std::vector<std::uint8_t> bytes = random_bytes(8, 6);
  tileloadd(1, bytes.data(), 4);
  const Child child = in_child([&](std::string&) {
    const bool same = on_hardware() || (sttilecfg() == c && stored(1, 2, 4) == bytes);
    tilerelease();
    return same ? 0 : 1;
  });
  EXPECT_EQ(child.exit_code, 0);
  EXPECT_EQ(stored(1, 2, 4), bytes);
}

}  // namespace
}  // namespace bytegate::testing

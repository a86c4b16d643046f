#include "io/safetensors_header.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "io/json.h"
#include "io/text.h"

namespace bytegate::detail {
namespace {

struct Dtype {
  std::string_view name;
  std::uint64_t size;
};
constexpr Dtype kDtypes[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
                             {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
                             {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8}};

constexpr std::uint64_t kMaxNumber = std::numeric_limits<std::int64_t>::max();

/// Receives the header's JSON piece by piece. Anything out of place throws at once, so nesting cannot go deeper than
/// the format's own three levels.
class HeaderReader : public JsonEvents {
 public:
  HeaderReader(std::uint64_t data_size, const std::string& what) : data_size_(data_size), what_(what) {}

  Header take() { return std::move(header_); }

  void null() override { fail_kind("null"); }
  void boolean(bool) override { fail_kind("a boolean"); }

  void number(std::optional<std::uint64_t> whole, std::string_view text) override {
    if (whole && where_ != Where::shape && where_ != Where::offsets) fail_kind("a number");
    const bool negative = text.front() == '-' && text.find_first_of(".eE") == std::string_view::npos;
    if (!whole || *whole > kMaxNumber)
      fail_kind(join_text({negative ? "the negative number " : "the number ", text.substr(0, 40)}));
    if (where_ == Where::shape) {
      entry_.shape.push_back(static_cast<std::int64_t>(*whole));
    } else {
      if (offsets_ < 2) (offsets_ == 0 ? entry_.begin : entry_.end) = *whole;
      ++offsets_;
    }
  }

  void string(std::string value) override {
    if (where_ == Where::metadata) {
      header_.metadata[key_] = std::move(value);
    } else if (where_ == Where::entry && key_ == "dtype") {
      if (dtype_size(value) == 0) fail_entry({"has dtype ", in_quotes(value), "; the format has ", dtype_names()});
      entry_.dtype = std::move(value);
    } else {
      fail_kind("a string");
    }
  }

  void start_object() override {
    switch (where_) {
      case Where::outside:
        where_ = Where::root;
        break;
      case Where::root:
        if (key_ == kMetadataKey) {
          where_ = Where::metadata;
        } else {
          where_ = Where::entry;
          entry_ = {};
          entry_.name = key_;
        }
        keys_.clear();
        break;
      default:
        fail_kind("an object");
    }
  }

  void key(std::string value) override {
    if (where_ == Where::root) {
      if (!names_.insert(value).second) fail({"the name ", in_quotes(value), " appears twice"});
    } else if (!keys_.insert(value).second) {
      if (where_ == Where::metadata) fail({"the __metadata__ key ", in_quotes(value), " appears twice"});
      fail_entry({"has two ", in_quotes(value)});
    }
    if (where_ == Where::entry && value != "dtype" && value != "shape" && value != "data_offsets") {
      fail_entry({"has the unknown key ", in_quotes(value), "; accepted are dtype, shape and data_offsets"});
    }
    key_ = std::move(value);
  }

  void end_object() override {
    if (where_ == Where::entry) {
      check_entry();
      header_.entries.push_back(std::move(entry_));
    }
    where_ = where_ == Where::root ? Where::outside : Where::root;
  }

  void start_array() override {
    if (where_ == Where::entry && key_ == "shape") {
      where_ = Where::shape;
    } else if (where_ == Where::entry && key_ == "data_offsets") {
      where_ = Where::offsets;
      offsets_ = 0;
    } else {
      fail_kind("an array");
    }
  }

  void end_array() override {
    if (where_ == Where::offsets && offsets_ != 2) {
      fail_entry({"has ", offsets_, " data_offsets; it takes 2, begin and end"});
    }
    where_ = Where::entry;
  }

  [[noreturn]] void syntax_error(std::size_t position, const std::string& problem) override {
    fail({"the header is not valid JSON at byte ", position, ": ", problem});
  }

 private:
  enum class Where { outside, root, metadata, entry, shape, offsets };

  [[noreturn]] void fail(TextParts message) const { fail_bad_file(what_, message); }
  [[noreturn, gnu::noinline]] void fail_entry(TextParts message) const {
    fail({"tensor ", in_quotes(entry_.name), " ", join_text(message)});
  }

  /// A value of a kind that cannot be where it is.
  [[noreturn, gnu::noinline]] void fail_kind(TextPart kind) const {
    const std::string numbers = join_text({" holds ", kind, "; it takes integers from 0 to ", kMaxNumber});
    switch (where_) {
      case Where::outside:
        fail({"the header is ", kind, "; it must be an object"});
      case Where::root:
        if (key_ == kMetadataKey) fail({"__metadata__ is ", kind, "; it must be an object of strings"});
        fail({"tensor ", in_quotes(key_), " is ", kind, "; it must be an object with dtype, shape and data_offsets"});
      case Where::metadata:
        fail({"the __metadata__ key ", in_quotes(key_), " holds ", kind, "; it must hold a string"});
      case Where::shape:
        fail_entry({"has a shape that", numbers});
      case Where::offsets:
        fail_entry({"has data_offsets that", numbers});
      case Where::entry:
        break;
    }
    fail_entry(
        {"has ", key_, " that is ", kind, "; it must be ", key_ == "dtype" ? "a string" : "an array of integers"});
  }

  void check_entry() const {
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
      if (keys_.count(key) == 0) fail_entry({"has no ", key});
    }
    const std::string range = join_text({"data_offsets [", entry_.begin, ", ", entry_.end, "]"});
    if (entry_.begin > entry_.end) fail_entry({"has ", range, ", which end before they begin"});
    if (entry_.end > data_size_) {
      fail_entry({"has ", range, ", which reach past the ", data_size_, " bytes of data in the file"});
    }
    const std::int64_t bytes = tensor_bytes(entry_.shape, dtype_size(entry_.dtype));
    if (bytes < 0) fail_entry({"has shape ", list_text(entry_.shape), ", whose size overflows 63 bits"});
    if (static_cast<std::uint64_t>(bytes) != entry_.end - entry_.begin) {
      fail_entry({"has shape ", list_text(entry_.shape), " of ", entry_.dtype, ", which takes ", bytes, " bytes, but ",
                  range, ", which hold ", entry_.end - entry_.begin});
    }
  }

  std::uint64_t data_size_;
  const std::string& what_;
  Header header_;
  Where where_ = Where::outside;
  std::string key_;              ///< the last one read
  std::set<std::string> names_;  ///< keys of the root
  std::set<std::string> keys_;   ///< keys of the object inside it
  HeaderEntry entry_;
  std::size_t offsets_ = 0;
};

/// Throws if the file begins as those of torch.save do, a zip archive or a pickle of protocol 2 or later, or as those
/// of ONNX: its fields 1, the version of the format, and 2, 3, 4, 7 or 8.
void refuse_other_format(std::string_view beginning, const std::string& what) {
  constexpr std::string_view kNextFields = "\x12\x1a\x22\x3a\x42";
  if (beginning[0] == 8 && beginning[1] >= 3 && beginning[1] <= 32 && kNextFields.find(beginning[2]) < 5) {
    fail_bad_file(what, {"this looks like an ONNX model, not a safetensors file; python3 -m bytegate convert IN OUT "
                         "converts it"});
  }
  const bool pickle = beginning[0] == '\x80' && beginning[1] >= 2 && beginning[1] <= 5;
  if (!pickle && !beginning.starts_with("PK\3\4")) return;
  fail_bad_file(what, {"this is ", pickle ? "a pickle" : "a zip archive",
                       ", as torch.save writes (.pt, .pth, .bin, .ckpt), not a safetensors file; "
                       "scripts/torch_to_safetensors.py IN OUT converts it"});
}

/// The data must be the tensors', each byte of one tensor.
void check_contiguous(const std::vector<HeaderEntry>& entries, std::uint64_t data_size, const std::string& what) {
  std::uint64_t position = 0;
  const HeaderEntry* before = nullptr;
  for (const HeaderEntry& entry : entries) {
    if (entry.begin > position) {
      fail_bad_file(what, {"bytes ", position, " to ", entry.begin, " of the data belong to no tensor; tensor ",
                           in_quotes(entry.name), " must begin at byte ", position});
    }
    if (entry.begin < position) {
      fail_bad_file(what, {"tensor ", in_quotes(entry.name), " begins at byte ", entry.begin,
                           " of the data, inside tensor ", in_quotes(before->name), ", which ends at byte ", position});
    }
    position = entry.end;
    before = &entry;
  }
  if (position != data_size) {
    fail_bad_file(what, {"the tensors end at byte ", position, " of the data, but the file has ", data_size,
                         " bytes of data; there must be none left over"});
  }
}

}  // namespace

std::uint64_t dtype_size(std::string_view dtype) {
  for (const Dtype& known : kDtypes) {
    if (known.name == dtype) return known.size;
  }
  return 0;
}

std::string dtype_names() {
  std::string out;
  for (const Dtype& dtype : kDtypes) append_text(out, {out.empty() ? "" : ", ", dtype.name});
  return out;
}

std::int64_t tensor_bytes(const std::vector<std::int64_t>& shape, std::uint64_t element) {
  std::uint64_t elements = 1;
  for (const std::int64_t dim : shape) {
    const auto d = static_cast<std::uint64_t>(dim);
    if (d != 0 && elements > kMaxNumber / d) return -1;
    elements *= d;
  }
  return elements > kMaxNumber / element ? -1 : static_cast<std::int64_t>(elements * element);
}

std::uint64_t read_header_size(std::string_view prefix, std::uint64_t file_size, const std::string& what) {
  if (file_size < 8) {
    fail_bad_file(what, {"the file has ", file_size, " bytes; a safetensors file begins with an 8-byte header length"});
  }
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < 8; ++i)
    size |= static_cast<std::uint64_t>(static_cast<unsigned char>(prefix[i])) << (8 * i);
  if (size > kMaxHeaderBytes || size > file_size - 8) refuse_other_format(prefix, what);
  if (size > kMaxHeaderBytes) {
    fail_bad_file(what, {"the header length is ", size, "; at most ", kMaxHeaderBytes,
                         " is accepted (is this a safetensors file?)"});
  }
  if (size > file_size - 8) {
    fail_bad_file(what, {"the header length is ", size, ", but only ", file_size - 8, " bytes follow it"});
  }
  if (size < 2) fail_bad_file(what, {"the header length is ", size, "; the shortest header, {}, takes 2 bytes"});
  return size;
}

Header parse_header(std::string_view text, std::uint64_t data_size, const std::string& what) {
  if (text.front() != '{')
    fail_bad_file(what, {"the header begins with ", in_quotes(text.substr(0, 1)), "; it must begin with {"});
  // The JSON parser would take a zero byte for the end of the text and leave what follows unread.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    fail_bad_file(what, {"the header has a zero byte at byte ", zero, "; it may be padded with spaces only"});
  }
  const std::size_t last = text.find_last_not_of(' ');
  if (text[last] == '\n' || text[last] == '\r' || text[last] == '\t') {
    fail_bad_file(
        what, {"the header is padded with ", in_quotes(text.substr(last, 1)), "; it may be padded with spaces only"});
  }
  HeaderReader reader(data_size, what);
  read_json(text, reader);
  Header header = reader.take();
  std::sort(header.entries.begin(), header.entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check_contiguous(header.entries, data_size, what);
  return header;
}

}  // namespace bytegate::detail

// Reads the one form of WAV file that speech models are fed with: 16 bit PCM, one channel.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace demo {

/// The bytes of a file. Throws std::runtime_error.
inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  if (!in.is_open() || in.bad()) throw std::runtime_error(path.string() + ": cannot be read");
  return bytes;
}

/// The samples of a WAV file, -1 to 1. Throws std::runtime_error for a file of another sample rate or form, and for one
/// that is cut off.
inline std::vector<float> read_wav(const std::filesystem::path& path, std::uint32_t sample_rate) {
  const auto fail = [&](const std::string& what) -> std::runtime_error {
    return std::runtime_error(path.string() + ": " + what + "; 16 bit PCM, one channel, " +
                              std::to_string(sample_rate) + " Hz is accepted");
  };
  const std::string bytes = read_bytes(path);
  const auto number = [&]<class Integer>(std::size_t at, Integer value) {  // little-endian, as the host is
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  };
  if (bytes.size() < 12 || bytes.compare(0, 4, "RIFF") != 0 || bytes.compare(8, 4, "WAVE") != 0)
    throw fail("not a WAV file");
  bool has_format = false;
  for (std::size_t at = 12; bytes.size() - at >= 8;) {
    const std::string id = bytes.substr(at, 4);
    std::size_t size = number(at + 4, std::uint32_t{});
    at += 8;
    if (id == "data" && size >= 0x7fff0000) size = bytes.size() - at;  // written to a pipe: the size was not known
    if (size > bytes.size() - at) throw fail("a WAV file that is cut off");
    if (id == "fmt " && size >= 16) {
      constexpr std::uint16_t pcm = 1, extensible = 0xfffe;
      std::uint16_t form = number(at, std::uint16_t{});
      if (form == extensible && size >= 26) form = number(at + 24, std::uint16_t{});
      const int channels = number(at + 2, std::uint16_t{}), bits = number(at + 14, std::uint16_t{});
      const std::uint32_t rate = number(at + 4, std::uint32_t{});
      if (form != pcm || channels != 1 || bits != 16 || rate != sample_rate) {
        throw fail("a WAV file of " + std::to_string(bits) + " bit " +
                   (form == pcm ? "PCM" : "samples that are not PCM") + ", " + std::to_string(channels) +
                   " channel(s), " + std::to_string(rate) + " Hz");
      }
      has_format = true;
    } else if (id == "data") {
      if (!has_format) throw fail("a WAV file without a format before its samples");
      std::vector<float> samples(size / 2);
      for (std::size_t i = 0; i < samples.size(); ++i)
        samples[i] = static_cast<float>(number(at + 2 * i, std::int16_t{})) / 32768.0f;
      return samples;
    }
    at += std::min(size + size % 2, bytes.size() - at);  // chunks begin at even places
  }
  throw fail("a WAV file without samples");
}

}  // namespace demo

// The `bytegate` command line, for the program and for `python -m bytegate`.
#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <string>

#include "commands.h"

namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

void print_error(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fflush(stdout);
  fmt::print(stderr, "bytegate: {}\n", message);
}

}  // namespace

int bytegate::cli::run(int argc, char** argv) {
  CLI::App app(
      "Dynamically quantized int8 LSTM and Linear models on CPUs.\n"
      "BYTEGATE_BACKEND chooses the backend; `bytegate info` lists them.");
  app.set_version_flag("--version", "bytegate " BYTEGATE_VERSION);
  app.require_subcommand(1);
  bytegate::cli::add_info(app);
  bytegate::cli::add_quantize(app);
  bytegate::cli::add_inspect(app);
  bytegate::cli::add_compare(app);
  try {
    app.parse(argc, argv);
    // A full disk or a closed pipe shows only when the output is flushed.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      throw bytegate::cli::CommandFailed("cannot write to standard output");
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    print_error(std::string(error.what()) + " (see bytegate --help)");
    return kUsage;
  } catch (const std::exception& error) {
    print_error(error.what());
    return kFailure;
  }
}

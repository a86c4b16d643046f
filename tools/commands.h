// The subcommands of `bytegate`. Each add_... declares one and its options; the callback does the work and throws
// bytegate::Error or CommandFailed.
#pragma once

#include <CLI/CLI.hpp>
#include <stdexcept>

namespace bytegate::cli {

/// The command line. Results go to stdout, errors to stderr as one line. Returns the exit code: 1 is a failure, 2 a
/// wrong call.
int run(int argc, char** argv);

/// A failure of a command: run prints what() as one line on stderr and ends with exit code 1.
class CommandFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void add_info(CLI::App& app);
void add_quantize(CLI::App& app);
void add_inspect(CLI::App& app);
void add_compare(CLI::App& app);

}  // namespace bytegate::cli

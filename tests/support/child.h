// Code in a process of its own, for what a process does only once.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <string>

namespace bytegate::testing {

struct Child {
  int exit_code = -1;  ///< 128 + the signal's number if one ended it
  std::string output;
};

/// Runs `call(output)` in a fork of this process; what it returns is the exit code.
template <class Call>
Child in_child(const Call& call) {
  Child child;
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return child;
  const pid_t pid = fork();
  if (pid == 0) {
    std::string output;
    int code = 99;
    try {
      code = call(output);
    } catch (const std::exception& e) {
      output = std::string("exception: ") + e.what();
    }
    const bool written = write(pipe_ends[1], output.data(), output.size()) == static_cast<ssize_t>(output.size());
    _exit(written ? code : 98);
  }
  close(pipe_ends[1]);
  char buffer[4096];
  for (ssize_t n; (n = read(pipe_ends[0], buffer, sizeof buffer)) > 0;)
    child.output.append(buffer, static_cast<std::size_t>(n));
  close(pipe_ends[0]);
  int status = 0;
  if (pid > 0 && waitpid(pid, &status, 0) == pid) {
    child.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return child;
}

}  // namespace bytegate::testing

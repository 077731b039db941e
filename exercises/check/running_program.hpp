// A program of somebody else's: it may write without end, stop itself or leave children behind.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "process.hpp"

namespace sessions::exercise {

/// What a program writes. It is read as fast as it comes, and beginning and end are kept.
class KeptOutput {
 public:
  void append(std::string_view bytes);
  /// The whole output, or its beginning and its end with a line in between that says how much is
  /// missing.
  std::string text() const;

 private:
  static constexpr std::size_t kKept = 8192;  // bytes, of each end

  mutable std::mutex mutex_;
  std::string beginning_;
  std::string end_;
  std::size_t dropped_ = 0;
};

/// A child process with a process group of its own.
class RunningProgram {
 public:
  /// Starts `command[0]`, which is looked up in PATH. Of the check's own environment it gets only
  /// PATH, HOME, TMPDIR and the sanitizers' options. Throws std::system_error.
  RunningProgram(std::vector<std::string> command, const test::Environment& environment);
  /// Kills the process group.
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  /// The exit code once the program has ended; 128 + the signal's number if a signal ended it.
  std::optional<int> exit_code();
  void signal(int number) const;
  /// How many files, sockets and the like it has open; 0 if that cannot be seen.
  std::size_t open_descriptors() const;
  /// Waits for the end, and for what was written until then; nothing if it does not come in time.
  std::optional<int> wait_for_exit(test::milliseconds patience);

  std::string standard_output() const { return output_.text(); }
  std::string standard_error() const { return error_.text(); }

 private:
  pid_t pid_ = -1;
  int output_pipe_ = -1;
  int error_pipe_ = -1;
  std::optional<int> exit_code_;
  KeptOutput output_;
  KeptOutput error_;
  std::atomic<bool> is_drained_ = false;
  std::jthread drainer_;
};

}  // namespace sessions::exercise

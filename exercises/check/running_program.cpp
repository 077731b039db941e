#include "running_program.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <system_error>

namespace sessions::exercise {
namespace {

constexpr std::array kInherited{"PATH",         "HOME",         "TMPDIR",       "ASAN_OPTIONS",
                                "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};

std::system_error system_failure(const std::string& what) {
  return std::system_error{errno, std::generic_category(), what};
}

std::vector<char*> null_terminated(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (auto& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_lines(test::Environment environment) {
  for (const auto* name : kInherited) {
    if (const char* value = std::getenv(name)) {
      environment.try_emplace(name, value);
    }
  }
  std::vector<std::string> lines;
  for (const auto& [name, value] : environment) {
    lines.push_back(fmt::format("{}={}", name, value));
  }
  return lines;
}

/// Reads what there is. False at the end.
bool read_some(int descriptor, KeptOutput& output) {
  std::array<char, 65536> bytes{};
  const auto size = ::read(descriptor, bytes.data(), bytes.size());
  if (size > 0) {
    output.append({bytes.data(), static_cast<std::size_t>(size)});
  }
  return size > 0;
}

}  // namespace

void KeptOutput::append(std::string_view bytes) {
  const std::lock_guard lock{mutex_};
  const auto first = std::min(kKept - beginning_.size(), bytes.size());
  beginning_ += bytes.substr(0, first);
  end_ += bytes.substr(first);
  if (end_.size() > kKept) {
    dropped_ += end_.size() - kKept;
    end_.erase(0, end_.size() - kKept);
  }
}

std::string KeptOutput::text() const {
  const std::lock_guard lock{mutex_};
  return dropped_ == 0 ? beginning_ + end_
                       : fmt::format("{}\n[{} bytes left out]\n{}", beginning_, dropped_, end_);
}

RunningProgram::RunningProgram(std::vector<std::string> command,
                               const test::Environment& environment) {
  auto lines = environment_lines(environment);
  const auto arguments = null_terminated(command);
  const auto variables = null_terminated(lines);
  std::array<int, 2> output{};
  std::array<int, 2> error{};
  if (::pipe2(output.data(), O_CLOEXEC) != 0 || ::pipe2(error.data(), O_CLOEXEC) != 0) {
    throw system_failure("pipe2");
  }
  pid_ = ::fork();
  if (pid_ < 0) {
    throw system_failure("fork");
  }
  if (pid_ == 0) {
    // Between fork and exec only async-signal-safe calls are allowed (signal-safety(7)).
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    ::dup2(output[1], STDOUT_FILENO);
    ::dup2(error[1], STDERR_FILENO);
    ::execvpe(arguments[0], arguments.data(), variables.data());
    ::_exit(127);
  }
  ::setpgid(pid_, pid_);
  ::close(output[1]);
  ::close(error[1]);
  output_pipe_ = output[0];
  error_pipe_ = error[0];
  drainer_ = std::jthread{[this](const std::stop_token& stop) {
    std::array<pollfd, 2> pipes{pollfd{output_pipe_, POLLIN, 0}, pollfd{error_pipe_, POLLIN, 0}};
    while (!stop.stop_requested() && (pipes[0].fd >= 0 || pipes[1].fd >= 0)) {
      constexpr int kPatience = 50;  // milliseconds, until the next look at `stop`
      if (::poll(pipes.data(), pipes.size(), kPatience) <= 0) {
        continue;
      }
      // A negative descriptor is one that poll() passes over.
      if (pipes[0].revents != 0 && !read_some(pipes[0].fd, output_)) {
        pipes[0].fd = -1;
      }
      if (pipes[1].revents != 0 && !read_some(pipes[1].fd, error_)) {
        pipes[1].fd = -1;
      }
    }
    is_drained_ = true;
  }};
}

RunningProgram::~RunningProgram() {
  ::kill(-pid_, SIGKILL);
  if (!exit_code()) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  drainer_.request_stop();
  drainer_.join();
  ::close(output_pipe_);
  ::close(error_pipe_);
}

std::optional<int> RunningProgram::exit_code() {
  int status = 0;
  if (!exit_code_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return exit_code_;
}

void RunningProgram::signal(int number) const {
  if (!exit_code_) {
    ::kill(pid_, number);
  }
}

std::size_t RunningProgram::open_descriptors() const {
  std::error_code unreadable;
  const std::filesystem::directory_iterator all{fmt::format("/proc/{}/fd", pid_), unreadable};
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::optional<int> RunningProgram::wait_for_exit(test::milliseconds patience) {
  if (test::wait_until([this] { return exit_code().has_value(); }, patience)) {
    // Not for ever: a child that it has left behind may hold the pipes open.
    test::wait_until([this] { return is_drained_.load(); }, test::seconds{1});
  }
  return exit_code_;
}

}  // namespace sessions::exercise

#include "program.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <exception>
#include <iostream>

#include "errors.hpp"
#include "http_server.hpp"

namespace sessions {
namespace {

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

// Every thread inherits this, so that the signals wait for wait_for_stop_signal().
void block_stop_signals() {
  const auto signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void wait_for_stop_signal() {
  const auto signals = stop_signals();
  int signal = 0;
  sigwait(&signals, &signal);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second Ctrl-C ends the program at once
}

}  // namespace

int run_step(int argc, const char* const* argv, const StepDescription& step,
             const std::function<int(const Settings&)>& body) {
  std::signal(SIGPIPE, SIG_IGN);
  spdlog::set_default_logger(spdlog::stderr_logger_mt(step.name));
  try {
    const Settings settings{step, argc, argv};
    spdlog::set_level(settings.quiet() ? spdlog::level::warn : spdlog::level::info);
    if (!settings.check()) {
      block_stop_signals();  // a check has nothing to finish
    }
    return body(settings);
  } catch (const OnlyHelp&) {
    return 0;
  } catch (const SettingError& error) {
    std::cerr << step.name << ": " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << step.name << ": " << error.what() << '\n';
    return 1;
  }
}

int serve(const Settings& settings, EventLoop& event_loop, const Routes& routes,
          const std::function<void()>& when_listening) {
  HttpServer server{
      event_loop,
      routes,
      {.host = settings.host(), .port = settings.port(), .threads = settings.threads()}};
  // Each line of the log says which instance wrote it.
  spdlog::set_pattern(fmt::format("[%Y-%m-%d %H:%M:%S.%e] [%n:{}] [%^%l%$] %v", server.port()));
  if (when_listening) {
    when_listening();
  }
  std::cout << fmt::format("{} listening on http://{}:{}", settings.step_name(),
                           host_of_url(settings.host()), server.port())
            << '\n'
            << std::flush;
  wait_for_stop_signal();
  server.stop();
  return 0;
}

}  // namespace sessions

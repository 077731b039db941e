// The frame around every step's main().
#pragma once

#include <functional>

#include "event_loop.hpp"
#include "routes.hpp"
#include "settings.hpp"

namespace sessions {

/// Reads the settings, answers --help, runs `body` and turns failures into one line on stderr.
/// Returns the exit code: what `body` returns, or 2 for a setting that cannot be used, or 1 for any
/// other failure.
int run_step(int argc, const char* const* argv, const StepDescription& step,
             const std::function<int(const Settings&)>& body);

/// Serves until SIGINT or SIGTERM, then stops accepting, finishes what is in flight and returns the
/// exit code 0. Once it listens, it calls `when_listening` and prints one line on stdout: it is
/// ready. Throws SettingError if it cannot listen at the given host and port.
int serve(const Settings& settings, EventLoop& event_loop, const Routes& routes,
          const std::function<void()>& when_listening = nullptr);

}  // namespace sessions

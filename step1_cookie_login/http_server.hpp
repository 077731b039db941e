// The server: Pistache reads HTTP on its worker threads, handlers answer.
#pragma once

#include <functional>

#include "routes.hpp"
#include "settings.hpp"

namespace sessions {

/// Serves until SIGINT or SIGTERM, then stops accepting, finishes what is in flight and returns the
/// exit code 0. Calls `when_listening`, then prints one line on stdout: it is ready. Throws
/// SettingError if it cannot listen at the given host and port.
int serve(const Settings& settings, const Routes& routes,
          const std::function<void()>& when_listening = nullptr);

}  // namespace sessions

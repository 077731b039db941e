// Whether a store can be reached: asked by --check, and at start.
#pragma once

#include <asio/awaitable.hpp>
#include <string_view>

#include "event_loop.hpp"

namespace sessions {

/// For --check: waits for `ping` and prints PONG, or what it throws and the `advice`. Returns the
/// exit code 0 or 1.
int check_store(EventLoop& event_loop, asio::awaitable<void> ping, std::string_view advice);

/// Runs `ping` in the background and logs a warning that names `setting` if it throws.
void warn_if_unreachable(EventLoop& event_loop, asio::awaitable<void> ping,
                         std::string_view setting);

}  // namespace sessions

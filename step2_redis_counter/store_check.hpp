// Whether a store can be reached: asked by --check, and at start.
#pragma once

#include <asio/awaitable.hpp>
#include <string_view>

#include "backend.hpp"

namespace sessions {

/// For --check: waits for `ping` and prints PONG, or what it throws and the `advice`. Returns the
/// exit code 0 or 1.
int check_store(Backend& backend, asio::awaitable<void> ping, std::string_view advice);

/// Runs `ping` in the background and logs a warning that names `setting` if it throws.
void warn_if_unreachable(Backend& backend, asio::awaitable<void> ping, std::string_view setting);

}  // namespace sessions

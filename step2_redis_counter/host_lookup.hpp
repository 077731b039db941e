// What addresses a host's name stands for.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <vector>

namespace sessions {

/// Looks up the addresses of `host` (getaddrinfo(3)), until `patience` expires or is cancelled.
/// Throws std::runtime_error if there are none or if the answer does not come in time.
///
/// A name server may be silent for a minute, and asio's own resolver lets its io_context, and so
/// the end of the program, wait for that. Here each question is asked on a thread of its own that
/// nobody waits for: it owns what it works on.
asio::awaitable<std::vector<asio::ip::tcp::endpoint>> look_up(
    std::string host, std::string port, std::shared_ptr<asio::steady_timer> patience);

}  // namespace sessions

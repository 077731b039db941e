// What all connections of a server share.
#pragma once

#include <asio/execution_context.hpp>
#include <atomic>
#include <chrono>
#include <limits>

#include "event_loop.hpp"
#include "routes.hpp"

namespace sessions {

/// Outlives the last connection, which a handler may keep after the server is gone.
struct ServerState {
  ServerState(EventLoop& loop, const Routes& served_routes)
      : event_loop{loop}, routes{served_routes} {}

  EventLoop& event_loop;
  const Routes& routes;
  asio::execution_context context;
  std::atomic<int> max_connections = std::numeric_limits<int>::max();
  std::chrono::milliseconds patience{};  ///< with slow clients
  std::atomic<int> connections = 0;
  std::atomic<int> newcomers = 0;  ///< connections that have not sent a request yet
  std::atomic<int> in_flight = 0;  ///< requests that are not answered to the last byte
  std::atomic<bool> stopping = false;
};

}  // namespace sessions

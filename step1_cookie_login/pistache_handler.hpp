// The glue between Pistache and the handlers.
#pragma once

#include <pistache/http.h>

#include <asio/execution_context.hpp>
#include <atomic>
#include <memory>

#include "event_loop.hpp"
#include "routes.hpp"

namespace sessions {

/// What the worker threads share.
struct ServerState {
  ServerState(EventLoop& loop, const Routes& served_routes)
      : event_loop{loop}, routes{served_routes} {}

  EventLoop& event_loop;
  const Routes& routes;
  asio::execution_context context;
  std::atomic<bool> stopping = false;
  std::atomic<int> in_flight = 0;
};

/// Pistache's view of a server with these routes.
std::shared_ptr<Pistache::Http::Handler> make_pistache_handler(std::shared_ptr<ServerState> state);

}  // namespace sessions

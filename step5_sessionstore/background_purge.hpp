// Expired sessions are removed, whether anybody asks for them or not.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <future>

#include "event_loop.hpp"
#include "session_store.hpp"

namespace sessions {

/// Purges a store on the event loop, again and again, for as long as this object lives. A purge
/// that fails is logged.
class BackgroundPurge {
 public:
  BackgroundPurge(EventLoop& event_loop, SessionStore& store, std::chrono::milliseconds interval);
  /// Waits for the purge that is under way, if there is one.
  ~BackgroundPurge();
  BackgroundPurge(const BackgroundPurge&) = delete;
  BackgroundPurge& operator=(const BackgroundPurge&) = delete;

 private:
  asio::awaitable<void> run();

  EventLoop& event_loop_;
  SessionStore& store_;
  const std::chrono::milliseconds interval_;
  asio::steady_timer timer_;
  bool stopping_ = false;
  std::future<void> ended_;
};

}  // namespace sessions

// Expired sessions are removed, whether anybody asks for them or not.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <chrono>
#include <future>

#include "event_loop.hpp"
#include "session_store.hpp"

namespace sessions {

/// Purges a store on the event loop for as long as this object lives: soon after the start, since
/// some servers live shorter than a minute, and then again and again. The pauses are random, so
/// that several servers do not all do it at once. A purge that fails is logged.
class BackgroundPurge {
 public:
  /// A pause takes `interval`, and up to half as much again.
  BackgroundPurge(EventLoop& event_loop, SessionStore& store,
                  std::chrono::milliseconds interval = std::chrono::minutes{1});
  /// Cancels the purge that is under way, if there is one, and waits for its end.
  ~BackgroundPurge();
  BackgroundPurge(const BackgroundPurge&) = delete;
  BackgroundPurge& operator=(const BackgroundPurge&) = delete;

 private:
  asio::awaitable<void> run();

  EventLoop& event_loop_;
  SessionStore& store_;
  const std::chrono::milliseconds interval_;
  asio::cancellation_signal stop_;
  std::future<void> ended_;
};

}  // namespace sessions

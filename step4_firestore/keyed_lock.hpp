// A lock for coroutines of one thread: who has the same key goes one after the other.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace sessions {

/// Holders of different keys do not meet; those of one key get the lock in the order in which they
/// asked. It lives on the event loop: everything happens on its thread.
class KeyedLock {
  struct Waiter;
  using Queues = std::map<std::string, std::deque<std::shared_ptr<Waiter>>>;

 public:
  /// Holds the lock and gives it to the next one when it is destroyed.
  class Guard {
   public:
    Guard(std::shared_ptr<Queues> queues, std::string key)
        : queues_{std::move(queues)}, key_{std::move(key)} {}
    ~Guard();
    Guard(Guard&&) noexcept = default;
    Guard& operator=(Guard&&) = delete;

   private:
    std::shared_ptr<Queues> queues_;  ///< null after a move
    std::string key_;
  };

  explicit KeyedLock(asio::io_context& event_loop) : event_loop_{event_loop} {}

  /// Nothing if the lock could not be had before the deadline.
  asio::awaitable<std::optional<Guard>> acquire(std::string key,
                                                std::chrono::steady_clock::time_point deadline);

 private:
  asio::io_context& event_loop_;
  std::shared_ptr<Queues> queues_ = std::make_shared<Queues>();
};

}  // namespace sessions

// A lock for coroutines of one thread: who has the same key goes one after the other.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace sessions {

/// Holders of different keys do not meet; those of one key get the lock in the order in which they
/// asked. It lives on the event loop: everything happens on its thread.
class KeyedLock {
 public:
  class Place;

  explicit KeyedLock(asio::io_context& event_loop) : event_loop_{event_loop} {}

  /// The lock is held until the result is destroyed, which must happen before *this is. Null if it
  /// could not be had before the deadline.
  asio::awaitable<std::unique_ptr<Place>> acquire(std::string key,
                                                  std::chrono::steady_clock::time_point deadline);

 private:
  using Queues = std::multimap<std::string, asio::steady_timer>;

  asio::io_context& event_loop_;
  Queues queues_;  ///< the first of a key has the lock, each of the others sleeps on its timer
};

/// A place in the queue for a key.
class KeyedLock::Place {
 public:
  Place(Queues& queues, Queues::iterator own) : queues_{queues}, own_{own} {}
  /// Leaves the queue, and wakes the next one if this was the first.
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  bool is_first() const { return queues_.lower_bound(own_->first) == own_; }

 private:
  Queues& queues_;
  Queues::iterator own_;
};

}  // namespace sessions

// A lock for coroutines of one thread: who has the same key goes one after the other.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace sessions {

/// Holders of different keys do not meet; those of one key get the lock in the order in which they
/// asked. It lives on the event loop: everything happens on its thread.
class KeyedLock {
  using Queues = std::multimap<std::string, asio::steady_timer>;

 public:
  /// A place in the queue for a key.
  class Place {
   public:
    Place(Queues& queues, Queues::iterator own) : queues_{queues}, own_{own} {}
    /// Leaves the queue, and wakes the next one if this was the first.
    ~Place() {
      const auto next = std::next(own_);
      if (is_first() && next != queues_.end() && next->first == own_->first) {
        next->second.cancel();  // resumes it later, not here
      }
      queues_.erase(own_);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    bool is_first() const { return queues_.lower_bound(own_->first) == own_; }

   private:
    Queues& queues_;
    Queues::iterator own_;
  };

  explicit KeyedLock(asio::io_context& event_loop) : event_loop_{event_loop} {}

  /// The lock is held until the result is destroyed, which must happen before *this is. Null if it
  /// could not be had before the deadline.
  asio::awaitable<std::unique_ptr<Place>> acquire(std::string key,
                                                  std::chrono::steady_clock::time_point deadline) {
    const auto own = queues_.emplace(std::move(key), asio::steady_timer{event_loop_, deadline});
    auto place = std::make_unique<Place>(queues_, own);
    if (!place->is_first()) {
      std::error_code ignored;
      co_await own->second.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    co_return place->is_first() ? std::move(place) : nullptr;
  }

 private:
  asio::io_context& event_loop_;
  Queues queues_;  ///< the first of a key has the lock, each of the others sleeps on its timer
};

}  // namespace sessions

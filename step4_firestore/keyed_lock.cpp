#include "keyed_lock.hpp"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <system_error>
#include <utility>

namespace sessions {

/// Sleeps on its timer until the lock is its own, or until the deadline.
struct KeyedLock::Waiter {
  Waiter(asio::io_context& event_loop, std::chrono::steady_clock::time_point deadline)
      : timer{event_loop, deadline} {}

  asio::steady_timer timer;
  bool has_lock = false;
};

KeyedLock::Guard::~Guard() {
  if (!queues_) {
    return;
  }
  const auto found = queues_->find(key_);
  auto& queue = found->second;
  if (queue.empty()) {
    queues_->erase(found);
    return;
  }
  const auto next = std::move(queue.front());
  queue.pop_front();
  next->has_lock = true;
  next->timer.cancel();  // resumes it later, not here
}

asio::awaitable<std::optional<KeyedLock::Guard>> KeyedLock::acquire(
    std::string key, std::chrono::steady_clock::time_point deadline) {
  const auto [queue, is_free] = queues_->try_emplace(key);
  if (!is_free) {
    const auto queues = queues_;
    const auto waiter = std::make_shared<Waiter>(event_loop_, deadline);
    queue->second.push_back(waiter);
    std::error_code ignored;
    co_await waiter->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (!waiter->has_lock) {
      std::erase((*queues)[key], waiter);
      co_return std::nullopt;
    }
    co_return Guard{queues, std::move(key)};
  }
  co_return Guard{queues_, std::move(key)};
}

}  // namespace sessions

#include "keyed_lock.hpp"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <iterator>
#include <system_error>

namespace sessions {

KeyedLock::Place::~Place() {
  const auto next = std::next(own_);
  if (is_first() && next != queues_.end() && next->first == own_->first) {
    next->second.cancel();  // resumes it later, not here
  }
  queues_.erase(own_);
}

asio::awaitable<std::unique_ptr<KeyedLock::Place>> KeyedLock::acquire(
    std::string key, std::chrono::steady_clock::time_point deadline) {
  const auto own = queues_.emplace(std::move(key), asio::steady_timer{event_loop_, deadline});
  auto place = std::make_unique<Place>(queues_, own);
  if (!place->is_first()) {
    std::error_code ignored;
    co_await own->second.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_return place->is_first() ? std::move(place) : nullptr;
}

}  // namespace sessions

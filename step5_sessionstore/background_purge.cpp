#include "background_purge.hpp"

#include <spdlog/spdlog.h>

#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

namespace sessions {

BackgroundPurge::BackgroundPurge(Backend& backend, SessionStore& store,
                                 std::chrono::milliseconds interval)
    : backend_{backend},
      store_{store},
      interval_{interval},
      timer_{backend.context()},
      ended_{asio::co_spawn(backend.context(), run(), asio::use_future)} {}

BackgroundPurge::~BackgroundPurge() {
  asio::post(backend_.context(), [this] {
    stopping_ = true;
    timer_.cancel();
  });
  ended_.wait();
}

asio::awaitable<void> BackgroundPurge::run() {
  while (!stopping_) {
    std::error_code cancelled;
    timer_.expires_after(interval_);
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    try {
      if (!stopping_) {
        co_await store_.purge();
      }
    } catch (const std::exception& error) {
      spdlog::warn("Expired sessions could not be removed: {}", error.what());
    }
  }
}

}  // namespace sessions

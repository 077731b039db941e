#include "background_purge.hpp"

#include <spdlog/spdlog.h>

#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

namespace sessions {

BackgroundPurge::BackgroundPurge(EventLoop& event_loop, SessionStore& store,
                                 std::chrono::milliseconds interval)
    : event_loop_{event_loop},
      store_{store},
      interval_{interval},
      timer_{event_loop.context()},
      ended_{event_loop.start(run())} {}

BackgroundPurge::~BackgroundPurge() {
  asio::post(event_loop_.context(), [this] {
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

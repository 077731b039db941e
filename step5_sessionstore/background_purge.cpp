#include "background_purge.hpp"

#include <spdlog/spdlog.h>

#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <random>

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
  std::random_device random;
  std::uniform_int_distribution<std::chrono::milliseconds::rep> up_to_half{0,
                                                                           interval_.count() / 2};
  for (std::chrono::milliseconds pause{0}; !stopping_; pause = interval_) {
    std::error_code cancelled;
    timer_.expires_after(pause + std::chrono::milliseconds{up_to_half(random)});
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    try {
      co_await purge();
    } catch (const std::exception& error) {
      spdlog::warn("Expired sessions could not be removed: {}", error.what());
    }
  }
}

asio::awaitable<void> BackgroundPurge::purge() {
  for (bool is_more = true; is_more && !stopping_;) {
    is_more = co_await store_.purge();
  }
}

}  // namespace sessions

#include "background_purge.hpp"

#include <spdlog/spdlog.h>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <exception>
#include <random>
#include <system_error>
#include <utility>

namespace sessions {

BackgroundPurge::BackgroundPurge(EventLoop& event_loop, SessionStore& store,
                                 std::chrono::milliseconds interval)
    : event_loop_{event_loop}, store_{store}, interval_{interval} {
  std::promise<void> ended;
  ended_ = ended.get_future();
  asio::co_spawn(event_loop.context(), run(),
                 asio::bind_cancellation_slot(
                     stop_.slot(),
                     [ended = std::move(ended)](const std::exception_ptr& /*cancelled*/) mutable {
                       ended.set_value();
                     }));
}

BackgroundPurge::~BackgroundPurge() {
  asio::post(event_loop_.context(), [this] { stop_.emit(asio::cancellation_type::terminal); });
  ended_.wait();
}

asio::awaitable<void> BackgroundPurge::run() {
  std::random_device random;
  std::uniform_int_distribution<std::int64_t> up_to_half{0, interval_.count() / 2};
  asio::steady_timer timer{event_loop_.context()};
  for (std::chrono::milliseconds pause{0};; pause = interval_) {
    timer.expires_after(pause + std::chrono::milliseconds{up_to_half(random)});
    co_await timer.async_wait(asio::use_awaitable);
    try {
      for (bool is_more = true; is_more;) {
        is_more = co_await store_.purge();
      }
    } catch (const std::system_error&) {
      throw;  // cancelled
    } catch (const std::exception& error) {
      spdlog::warn("Expired sessions could not be removed: {}", error.what());
    }
  }
}

}  // namespace sessions

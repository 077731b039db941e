// The one thread on which everything lives that waits.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <exception>
#include <future>
#include <thread>
#include <utility>

namespace sessions {

//! [event loop]
/// One thread that runs an asio::io_context. The clients of Redis and Firestore do all their work
/// on it, so they need no locks, and handlers continue on it after a co_await. What runs here must
/// not block: every visitor would wait.
class EventLoop {
 public:
  EventLoop() : thread_{[this] { context_.run(); }} {}
  /// Stops the thread. Everything that lives on the event loop must be destroyed before.
  ~EventLoop() {
    context_.stop();
    thread_.join();
  }
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  asio::io_context& context() { return context_; }

  /// Runs a coroutine on the event loop and returns its result or throws what it throws. The thread
  /// that calls waits, so it must not be the event loop's.
  template <typename Result>
  Result wait_for(asio::awaitable<Result> coroutine) {
    // Not asio::use_future, which starts two idle threads for each core.
    std::promise<Result> promise;
    auto future = promise.get_future();
    asio::co_spawn(
        context_, std::move(coroutine),
        [promise = std::move(promise)](std::exception_ptr failure, auto... result) mutable {
          failure ? promise.set_exception(std::move(failure))
                  : promise.set_value(std::move(result)...);
        });
    return future.get();
  }

 private:
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
  std::thread thread_;
};
//! [event loop]

}  // namespace sessions

// The executor on which handlers run.
#pragma once

#include <asio/execution.hpp>
#include <asio/execution_context.hpp>
#include <utility>

namespace sessions {

/// Runs everything at once, on the thread that asks. So a handler starts on the worker thread that
/// read its request, and continues on the thread that completes what it awaits, without a detour
/// through a queue.
///
/// For these handlers only. It claims never to block because asio's coroutines require that of an
/// executor, yet execute() returns when the function does. So never use it where the caller holds a
/// lock that the function takes, waits for the function's result, or counts on being done before
/// it starts; nor as the executor of a timer, a socket or a strand.
class ImmediateExecutor {
 public:
  explicit ImmediateExecutor(asio::execution_context& context) : context_{&context} {}

  template <typename Function>
  void execute(Function&& function) const {
    std::forward<Function>(function)();
  }

  asio::execution_context& query(asio::execution::context_t /*property*/) const noexcept {
    return *context_;
  }
  static constexpr asio::execution::blocking_t query(
      asio::execution::blocking_t /*property*/) noexcept {
    return asio::execution::blocking.never;
  }
  ImmediateExecutor require(asio::execution::blocking_t::never_t /*property*/) const noexcept {
    return *this;
  }
  bool operator==(const ImmediateExecutor&) const noexcept = default;

 private:
  asio::execution_context* context_;
};

}  // namespace sessions

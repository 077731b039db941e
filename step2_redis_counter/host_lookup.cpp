#include "host_lookup.hpp"

#include <fmt/format.h>
#include <netdb.h>

#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

namespace sessions {
namespace {

struct Answer {
  std::string problem;
  std::vector<asio::ip::tcp::endpoint> addresses;
};

Answer ask(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* first = nullptr;
  const int code = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &first);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned{first, ::freeaddrinfo};
  if (code != 0) {
    return {::gai_strerror(code), {}};
  }
  Answer answer;
  for (const auto* found = first; found != nullptr; found = found->ai_next) {
    auto& address = answer.addresses.emplace_back();
    address.resize(found->ai_addrlen);
    std::memcpy(address.data(), found->ai_addr, found->ai_addrlen);
  }
  return answer;
}

/// What the asking thread and the waiting coroutine share.
struct Lookup {
  std::mutex mutex;
  std::shared_ptr<asio::steady_timer> waiting;  ///< null once nobody waits any more
  std::optional<Answer> answer;
};

}  // namespace

asio::awaitable<std::vector<asio::ip::tcp::endpoint>> look_up(
    std::string host, std::string port, std::shared_ptr<asio::steady_timer> patience) {
  const auto lookup = std::make_shared<Lookup>();
  lookup->waiting = patience;
  std::thread{[lookup, host, port] {
    auto answer = ask(host, port);
    const std::lock_guard lock{lookup->mutex};
    lookup->answer = std::move(answer);
    if (auto waiting = std::exchange(lookup->waiting, nullptr)) {
      const auto executor = waiting->get_executor();
      asio::post(executor, [waiting = std::move(waiting)] { waiting->cancel(); });
    }
  }}.detach();
  // Also when this coroutine is destroyed unfinished, with the event loop: the thread must not use
  // a timer that is gone.
  const auto leave = [](Lookup* left) {
    const std::lock_guard lock{left->mutex};
    left->waiting.reset();
  };
  const std::unique_ptr<Lookup, decltype(leave)> waiting{lookup.get(), leave};
  std::error_code cancelled;
  co_await patience->async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  const std::lock_guard lock{lookup->mutex};
  if (!lookup->answer) {
    throw std::runtime_error{fmt::format("no answer yet to what the address of {} is", host)};
  }
  if (!lookup->answer->problem.empty()) {
    throw std::runtime_error{fmt::format("{}: {}", host, lookup->answer->problem)};
  }
  co_return std::move(lookup->answer->addresses);
}

}  // namespace sessions

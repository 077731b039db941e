#include "store_check.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <asio/co_spawn.hpp>
#include <exception>
#include <iostream>
#include <utility>

#include "errors.hpp"

namespace sessions {

int check_store(EventLoop& event_loop, asio::awaitable<void> ping, std::string_view advice) {
  try {
    event_loop.wait_for(std::move(ping));
    std::cout << "PONG\n" << std::flush;
    return std::cout ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n' << advice << '\n';
    return 1;
  }
}

void warn_if_unreachable(EventLoop& event_loop, asio::awaitable<void> ping,
                         std::string_view setting) {
  asio::co_spawn(event_loop.context(), std::move(ping), [setting](std::exception_ptr failure) {
    try {
      if (failure) {
        std::rethrow_exception(failure);
      }
    } catch (const ClientStopped&) {
      // The program ends for another reason, such as a port in use.
    } catch (const std::exception& error) {
      spdlog::warn(
          fmt::format("{}: {}. The server runs on and tries again when a page needs the store.",
                      setting, error.what()));
    }
  });
}

}  // namespace sessions

#include "redis_client.hpp"

#include <spdlog/spdlog.h>

#include <asio/detached.hpp>
#include <future>
#include <iostream>

#include "redis_link.hpp"

namespace sessions {

RedisClient::RedisClient(Backend& backend, RedisUrl url)
    : backend_{backend}, link_{std::make_shared<Link>(backend.context(), std::move(url))} {}

RedisClient::~RedisClient() {
  std::promise<void> stopped;
  asio::post(backend_.context(), [this, &stopped] {
    link_->stop();
    stopped.set_value();
  });
  stopped.get_future().wait();
}

asio::awaitable<RedisReply> RedisClient::send(std::vector<std::string> arguments) {
  return link_->send(std::move(arguments));
}

asio::awaitable<std::int64_t> RedisClient::send_for_integer(std::vector<std::string> arguments) {
  const auto reply = co_await send(std::move(arguments));
  co_return reply.integer();
}

asio::awaitable<void> RedisClient::ping() { co_await command("PING"); }

int check_redis(Backend& backend, RedisClient& redis) {
  try {
    backend.wait_for(redis.ping());
    std::cout << "PONG\n";
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\nIs Redis running, and does " << kRedisUrl.name
              << " name it? Try: redis-cli -u \"$" << kRedisUrl.name << "\" ping\n";
    return 1;
  }
}

void warn_if_unreachable(Backend& backend, RedisClient& redis) {
  asio::co_spawn(backend.context(), redis.ping(), [](std::exception_ptr failure) {
    try {
      if (failure) {
        std::rethrow_exception(failure);
      }
    } catch (const RedisClientStopped&) {
      // The program ends for another reason, such as a port in use.
    } catch (const std::exception& error) {
      spdlog::warn("{}: {}. The server runs on and tries again when a page needs Redis.",
                   kRedisUrl.name, error.what());
    }
  });
}

}  // namespace sessions

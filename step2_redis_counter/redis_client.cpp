#include "redis_client.hpp"

#include "redis_nodes.hpp"
#include "store_check.hpp"

namespace sessions {

RedisClient::RedisClient(EventLoop& event_loop, RedisUrl url)
    : event_loop_{event_loop},
      nodes_{std::make_shared<RedisNodes>(event_loop.context(), std::move(url))} {}

RedisClient::~RedisClient() { event_loop_.wait_for(nodes_->stop()); }

asio::awaitable<RedisReply> RedisClient::command(std::vector<std::string> arguments) {
  return nodes_->execute(std::move(arguments));
}

asio::awaitable<void> RedisClient::ping() { co_await command("PING"); }

int check_redis(EventLoop& event_loop, RedisClient& redis) {
  return check_store(event_loop, redis.ping(),
                     "Is Redis running, and does REDIS_URL name it? Try: redis-cli -u "
                     "\"$REDIS_URL\" ping");
}

void warn_if_unreachable(EventLoop& event_loop, RedisClient& redis) {
  warn_if_unreachable(event_loop, redis.ping(), kRedisUrl.name);
}

}  // namespace sessions

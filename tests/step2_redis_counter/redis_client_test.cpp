// When the Redis client connects, and how long its commands wait.

#include "redis_client.hpp"

#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <atomic>
#include <future>
#include <optional>
#include <string>
#include <string_view>

#include "event_loop.hpp"
#include "redis_stand_in.hpp"
#include "wait_until.hpp"

namespace sessions::test {
namespace {

/// A client of a Redis that a test puts out of order.
class Step2RedisClient : public testing::Test {
 protected:
  void serve(RedisStandIn::Script script) {
    server_.emplace(std::move(script));
    redis_.emplace(event_loop_, RedisUrl::parse("REDIS_URL", server_->url()));
  }

  /// Why a ping failed; empty if it succeeded.
  std::string failure_of_ping() {
    try {
      event_loop_.wait_for(redis_->ping());
      return {};
    } catch (const ServiceUnavailable& error) {
      return error.what();
    }
  }

  EventLoop event_loop_;
  std::optional<RedisStandIn> server_;
  std::optional<RedisClient> redis_;
};

TEST_F(Step2RedisClient, TriesAgainAtAMeasuredPaceAndSucceedsOnceItCan) {
  std::atomic<bool> is_broken = true;
  std::atomic<int> connections = 0;
  serve([&](std::string_view command) -> RedisStandIn::Answer {
    connections += command == "PING" ? 1 : 0;  // each ends its connection
    return is_broken ? RedisStandIn::Answer{"", true} : RedisStandIn::Answer{"+OK\r\n"};
  });
  const auto end = Clock::now() + seconds{1};
  while (Clock::now() < end) {
    EXPECT_NE(failure_of_ping(), "");
  }
  EXPECT_LE(connections, 8) << "pauses of 50, 100, 200, 400, 500 ms";
  is_broken = false;
  EXPECT_EQ(failure_of_ping(), "") << "the longest pause is shorter than a command waits";
}

TEST_F(Step2RedisClient, GivesUpACommandThatWaitsForAConnection) {
  serve([](std::string_view) -> RedisStandIn::Answer { return {}; });
  // From the second one on it waits for a pause and for the login, together longer than a second.
  EXPECT_TRUE(wait_until(
      [&] { return failure_of_ping().find("no connection within 1000 ms") != std::string::npos; }));
}

TEST_F(Step2RedisClient, FailsWhatIsWaitingWhenItIsDestroyed) {
  std::atomic<bool> is_connecting = false;
  serve([&](std::string_view) -> RedisStandIn::Answer {
    is_connecting = true;
    return {};
  });
  auto ping = asio::co_spawn(event_loop_.context(), redis_->ping(), asio::use_future);
  ASSERT_TRUE(wait_until([&] { return is_connecting.load(); }));
  redis_.reset();
  ASSERT_EQ(ping.wait_for(milliseconds{500}), std::future_status::ready) << "at once";
  EXPECT_THROW(ping.get(), ClientStopped);
}

}  // namespace
}  // namespace sessions::test

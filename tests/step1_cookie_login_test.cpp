#include <gtest/gtest.h>

#include "http_client.hpp"
#include "redis_process.hpp"
#include "server_process.hpp"

namespace sessions::test {
namespace {

TEST(Step1Cookie, Smoke) {
  RedisProcess redis;
  redis.restart();
  EXPECT_EQ(redis.command({"PING"}), "PONG");
  ServerProcess server{"step1_cookie_login"};
  HttpClient client{server.url()};
  client.keep_cookies();
  EXPECT_TRUE(client.get("/").contains("You are not logged in"));
  EXPECT_EQ(client.post("/login", "username=alice").status, 302);
  EXPECT_TRUE(client.get("/").contains("Logged in as alice"));
}

}  // namespace
}  // namespace sessions::test

#include "redis_fault_scenarios.hpp"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <csignal>
#include <thread>

#include "raw_connection.hpp"
#include "redis_stand_in.hpp"
#include "rule.hpp"

namespace sessions::test {

using testing::HasSubstr;
using testing::Not;

std::span<const Scenario<RedisFaultScenarios>> RedisFaultScenarios::faults() {
  using Self = RedisFaultScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"UnreachableRedisIsWarningAtStart",
                     &Self::unreachable_redis_is_warning_at_start},
      Scenario<Self>{"RefusedConnectionIs503UntilRedisIsBack",
                     &Self::refused_connection_is_503_until_redis_is_back},
      Scenario<Self>{"FrozenRedisIs503UntilItGoesOn", &Self::frozen_redis_is_503_until_it_goes_on},
      Scenario<Self>{"RestartedRedisIsUsedAgainAndHasAllVisits",
                     &Self::restarted_redis_is_used_again_and_has_all_visits},
      Scenario<Self>{"KilledRedisLosesNoAcknowledgedVisit",
                     &Self::killed_redis_loses_no_acknowledged_visit},
      Scenario<Self>{"WrongPasswordIs503AndIsNotLogged",
                     &Self::wrong_password_is_503_and_is_not_logged},
      Scenario<Self>{"WrongDatabaseIs503", &Self::wrong_database_is_503},
      Scenario<Self>{"LoadingRedisIs503UntilItHasLoaded",
                     &Self::loading_redis_is_503_until_it_has_loaded},
      Scenario<Self>{"ReplyThatIsCutOffIs503", &Self::reply_that_is_cut_off_is_503},
      Scenario<Self>{"ServerThatIsNoRedisIs503", &Self::reply_that_is_no_redis_is_503},
      Scenario<Self>{"SilentRedisIs503", &Self::silent_redis_is_503},
      Scenario<Self>{"StopsAfterRequestInFlightIsAnswered",
                     &Self::stops_after_request_in_flight_is_answered},
      Scenario<Self>{"StopsThoughRedisIsFrozen", &Self::stops_though_redis_is_frozen},
  };
  return kAll;
}

void RedisFaultScenarios::expect_anonymous_pages_work(const std::string& url) {
  HttpClient client{url};
  const auto start = Clock::now();
  EXPECT_EQ(client.get("/").status, 200);
  EXPECT_EQ(client.get("/login").status, 200);
  EXPECT_EQ(client.post("/login", "username=yara").status, 302);
  EXPECT_EQ(client.get("/logout").status, 302);
  EXPECT_LT(Clock::now() - start, milliseconds{900} * kSlowdown) << "somebody has waited for Redis";
}

void RedisFaultScenarios::unreachable_redis_is_warning_at_start() {
  const auto url = fmt::format("redis://:sesame@127.0.0.1:{}", free_port());
  ServerProcess other{step(), {{"REDIS_URL", url}}};
  EXPECT_TRUE(other.logs("REDIS_URL"));
  EXPECT_TRUE(other.logs("refused"));
  expect_anonymous_pages_work(other.url());
  EXPECT_THAT(other.log(), Not(HasSubstr("sesame")));
}

void RedisFaultScenarios::refused_connection_is_503_until_redis_is_back() {
  const Rule rule{"outage.unavailable"};
  EXPECT_EQ(visits_in(visit("alice")), 1);
  redis().stop();
  expect_unavailable(server().url());
  expect_anonymous_pages_work(server().url());
  // The first visit may have met the end of the old connection.
  EXPECT_TRUE(wait_until([&] {
    visit("alice");
    return server().log().find("refused") != std::string::npos;
  }));
  redis().start();
  EXPECT_EQ(visits_in(visit("zoe")), 1);
}

void RedisFaultScenarios::frozen_redis_is_503_until_it_goes_on() {
  const Rule rule{"outage.unavailable"};
  EXPECT_EQ(visits_in(visit("alice")), 1);
  redis().freeze();
  HttpClient client{server().url()};
  const auto cookie = cookie_header("session", logged_in_cookie(client, "bert"));
  const auto address = server().url();
  {
    std::vector<std::jthread> waiting;
    for (int number = 0; number < 8; ++number) {
      waiting.emplace_back([&] { expect_unavailable(address); });
    }
    expect_anonymous_pages_work(address);
  }
  EXPECT_TRUE(server().logs("no reply within"));
  redis().thaw();
  EXPECT_EQ(client.get("/", {cookie}).status, 200) << "the next request works";
}

void RedisFaultScenarios::restarted_redis_is_used_again_and_has_all_visits() {
  const Rule rule{"outage.recovery"};
  for (int count = 1; count <= 3; ++count) {
    EXPECT_EQ(visits_in(visit("alice")), count);
    redis().restart();
  }
  EXPECT_EQ(visits_in(visit("alice")), 4);
}

void RedisFaultScenarios::killed_redis_loses_no_acknowledged_visit() {
  const Rule rule{"outage.recovery"};
  HttpClient login{server().url()};
  const auto cookie = cookie_header("session", logged_in_cookie(login, "alice"));
  const auto address = server().url();
  std::atomic<int> acknowledged = 0;
  std::atomic<bool> is_over = false;
  {
    std::vector<std::jthread> clients;
    for (int number = 0; number < 4; ++number) {
      clients.emplace_back([&] {
        HttpClient client{address};
        while (!is_over) {
          const auto response = client.get("/", {cookie});
          EXPECT_THAT(response.status, testing::AnyOf(200, 503));
          int highest = acknowledged;
          while (visits_in(response) > highest &&
                 !acknowledged.compare_exchange_weak(highest, visits_in(response))) {
          }
        }
      });
    }
    for (int round = 0; round < 3; ++round) {
      const int before = acknowledged;
      EXPECT_TRUE(wait_until([&] { return acknowledged > before + 50; }));
      redis().kill();
      redis().start();
    }
    is_over = true;
  }
  EXPECT_GE(std::stoi(redis().command({"HGET", "user:alice", "visits"}).value_or("0")),
            acknowledged);
}

void RedisFaultScenarios::wrong_password_is_503_and_is_not_logged() {
  RedisProcess locked{{"--requirepass", "right"}};
  const auto with_password = [&](const std::string& password) {
    return fmt::format("redis://:{}@127.0.0.1:{}", password, locked.port());
  };
  ServerProcess wrong{step(), {{"REDIS_URL", with_password("sesame")}}};
  expect_unavailable(wrong.url());
  EXPECT_TRUE(wrong.logs("WRONGPASS"));
  EXPECT_THAT(wrong.process().log(), Not(HasSubstr("sesame")));
  locked.command({"CONFIG", "SET", "requirepass", "sesame"});
  EXPECT_TRUE(wait_until([&] { return visit("alice", wrong.url()).status == 200; }, seconds{2}))
      << "the password is right now";
}

void RedisFaultScenarios::wrong_database_is_503() {
  ServerProcess other{step(), {{"REDIS_URL", redis().url() + "/99"}}};
  expect_unavailable(other.url());
  EXPECT_TRUE(other.logs("DB index is out of range"));
  expect_anonymous_pages_work(other.url());
}

void RedisFaultScenarios::loading_redis_is_503_until_it_has_loaded() {
  // A millisecond for each key, and a look at its clients every 1,024 bytes.
  RedisProcess slow{{"--enable-debug-command", "yes", "--key-load-delay", "1000",
                     "--loading-process-events-interval-bytes", "1024"}};
  slow.command({"DEBUG", "POPULATE", "2000"});
  ServerProcess other{step(), {{"REDIS_URL", slow.url()}}};
  {
    const std::jthread loading{[&] { slow.command({"DEBUG", "RELOAD"}); }};
    EXPECT_TRUE(wait_until([&] { return visit("alice", other.url()).status == 503; }));
    expect_unavailable(other.url());
    EXPECT_TRUE(other.logs("LOADING"));
  }
  EXPECT_EQ(visits_in(visit("bert", other.url())), 1);
}

void RedisFaultScenarios::reply_that_is_cut_off_is_503() {
  std::atomic<bool> is_cut_off = true;
  RedisStandIn stand_in{[&](std::string_view command) -> RedisStandIn::Answer {
    if (command == "SELECT" || command == "PING") {
      return {"+OK\r\n"};
    }
    return is_cut_off ? RedisStandIn::Answer{":12", true} : RedisStandIn::Answer{":13\r\n"};
  }};
  ServerProcess other{step(), {{"REDIS_URL", stand_in.url()}}};
  for (int round = 0; round < 5; ++round) {
    expect_unavailable(other.url());
  }
  is_cut_off = false;
  EXPECT_TRUE(wait_until([&] { return visits_in(visit("alice", other.url())) == 13; }, seconds{2}));
}

void RedisFaultScenarios::reply_that_is_no_redis_is_503() {
  RedisStandIn stand_in{[](std::string_view) -> RedisStandIn::Answer {
    return {"HTTP/1.1 400 Bad Request\r\n\r\n"};
  }};
  ServerProcess other{step(), {{"REDIS_URL", stand_in.url()}}};
  expect_unavailable(other.url());
  expect_anonymous_pages_work(other.url());
}

void RedisFaultScenarios::silent_redis_is_503() {
  RedisStandIn stand_in{[](std::string_view) -> RedisStandIn::Answer { return {}; }};
  ServerProcess other{step(), {{"REDIS_URL", stand_in.url()}}};
  expect_unavailable(other.url());
  expect_anonymous_pages_work(other.url());
}

void RedisFaultScenarios::stops_after_request_in_flight_is_answered() {
  HttpClient client{server().url()};
  const auto cookie = logged_in_cookie(client, "alice");
  EXPECT_EQ(visits_in(visit("alice")), 1);
  RawConnection slow{server().url()};
  redis().freeze();
  slow.send(request_text("GET", "/", "Cookie: session=" + cookie + "\r\n"));
  EXPECT_EQ(slow.read_for(milliseconds{200}), "") << "Redis is frozen";
  server().process().signal(SIGTERM);
  EXPECT_TRUE(wait_until(
      [&] {
        try {
          RawConnection another{server().url(), RawConnection::Reader::kFast, milliseconds{100}};
          return false;
        } catch (const std::system_error&) {
          return true;
        }
      },
      milliseconds{500}))
      << "new clients are still accepted";
  EXPECT_EQ(server().process().exit_code(), std::nullopt);
  redis().thaw();
  EXPECT_EQ(visits_in(slow.read_response()), 2);
  EXPECT_EQ(server().process().wait_for_exit(), 0);
}

void RedisFaultScenarios::stops_though_redis_is_frozen() {
  HttpClient client{server().url()};
  const auto cookie = logged_in_cookie(client, "alice");
  RawConnection slow{server().url()};
  redis().freeze();
  slow.send(request_text("GET", "/", "Cookie: session=" + cookie + "\r\n"));
  slow.read_for(milliseconds{100});
  EXPECT_EQ(server().stop(), 0);
  EXPECT_EQ(slow.read_response().status, 503);
  redis().thaw();
}

}  // namespace sessions::test

// Step 3: the counter starts again after ten idle seconds.

#include "counter_scenarios.hpp"
#include "redis_cluster_scenarios.hpp"
#include "redis_fault_scenarios.hpp"
#include "rule.hpp"

namespace sessions::test {
namespace {

using testing::HasSubstr;

class Step3Contract : public CounterScenarios {
 protected:
  Step3Contract() : CounterScenarios{"step3_ttl", Store::kRedis} {}
};

class Step3Ttl : public RedisFaultScenarios {
 protected:
  Step3Ttl() : RedisFaultScenarios{"step3_ttl", Store::kRedis} {}

  std::vector<std::string> variables() const override { return {"REDIS_URL", "SESSION_TTL"}; }

  Environment with_idle_timeout(const std::string& idle_seconds) {
    auto settings = environment();
    settings["SESSION_TTL"] = idle_seconds;
    return settings;
  }
  /// Milliseconds until the user's counter expires, as Redis says.
  int remaining(const std::string& username) {
    return std::stoi(*redis().command({"PTTL", "user:" + username}));
  }
};

class Step3RedisCluster : public RedisClusterScenarios {
 protected:
  Step3RedisCluster() : RedisClusterScenarios{"step3_ttl", Store::kRedis} {}
};

[[maybe_unused]] const bool kRegistered =
    register_scenarios<Step3Contract>("Step3Contract", HttpScenarios::all()) &&
    register_scenarios<Step3Contract>("Step3Contract", CounterScenarios::counting()) &&
    register_scenarios<Step3Ttl>("Step3Ttl", ProgramScenarios::all()) &&
    register_scenarios<Step3Ttl>("Step3Ttl", RedisScenarios::storing()) &&
    register_scenarios<Step3Ttl>("Step3Ttl", RedisFaultScenarios::faults()) &&
    register_scenarios<Step3RedisCluster>("Step3RedisCluster", RedisClusterScenarios::all());

TEST_F(Step3Ttl, CounterExpiresTenSecondsAfterEveryVisit) {
  const Rule rule{"expiry.renewed"};
  for (int count = 1; count <= 3; ++count) {
    EXPECT_EQ(visits_in(visit("alice")), count);
    EXPECT_GT(remaining("alice"), 10000 - 1000 * kSlowdown);
    EXPECT_LE(remaining("alice"), 10000);
    redis().command({"PEXPIRE", "user:alice", "5000"});
  }
}

// As two commands, a crash in between would leave a counter that never expires.
TEST_F(Step3Ttl, CountAndExpiryAreOneScript) {
  const Rule rule{"expiry.one-unit"};
  EXPECT_EQ(visits_in(visit("alice")), 1);
  EXPECT_THAT(redis().command({"INFO", "commandstats"}).value_or(""),
              testing::HasSubstr("cmdstat_eval:calls=1,"));
}

TEST_F(Step3Ttl, CounterStartsAgainAfterTenIdleSeconds) {
  const Rule rule{"expiry.restart"};
  HttpClient client{server().url()};
  client.keep_cookies();
  client.post("/login", "username=alice");
  EXPECT_EQ(visits_in(client.get("/")), 1);
  EXPECT_EQ(visits_in(client.get("/")), 2);
  const auto last_visit = Clock::now();
  const auto has_expired = [&] { return redis().command({"EXISTS", "user:alice"}) == "0"; };
  ASSERT_TRUE(wait_until(has_expired, seconds{15}));
  const auto idle = Clock::now() - last_visit;
  EXPECT_GT(idle, milliseconds{9500});
  EXPECT_LT(idle, milliseconds{12000} * kSlowdown);
  const auto after = client.get("/");
  EXPECT_THAT(after.body, HasSubstr("Logged in as alice"));
  EXPECT_EQ(visits_in(after), 1);
}

TEST_F(Step3Ttl, VisitsKeepTheCounterAlive) {
  const Rule rule{"expiry.renewed"};
  ServerProcess brief{step(), with_idle_timeout("2")};
  HttpClient client{brief.url()};
  client.keep_cookies();
  client.post("/login", "username=alice");
  const auto start = Clock::now();
  int count = 0;
  while (Clock::now() - start < seconds{5}) {
    EXPECT_EQ(visits_in(client.get("/")), ++count);
    // Wait for most of the idle timeout to pass, as Redis sees it.
    ASSERT_TRUE(wait_until([&] { return remaining("alice") < 1000; }));
  }
  EXPECT_GT(count, 4);
}

TEST_F(Step3Ttl, IdleTimeoutIsASetting) {
  ServerProcess brief{step(), with_idle_timeout("1")};
  EXPECT_EQ(visits_in(visit("alice", brief.url())), 1);
  EXPECT_TRUE(wait_until([&] { return redis().command({"EXISTS", "user:alice"}) == "0"; }));
  EXPECT_EQ(visits_in(visit("alice", brief.url())), 1);
  ServerProcess patient{step(), with_idle_timeout("2147483647")};
  EXPECT_EQ(visits_in(visit("bert", patient.url())), 1);
  EXPECT_THAT(redis().command({"TTL", "user:bert"}).value_or(""), testing::StartsWith("21474836"));
}

TEST_F(Step3Ttl, RefusesIdleTimeoutsThatAreNoPositiveWholeNumber) {
  for (const std::string value :
       {"0", "-1", "1.5", "ten", "10s", " 10", "0x10", "99999999999999"}) {
    const auto refused = run_program({"--port", "0"}, {{"SESSION_TTL", value}});
    EXPECT_EQ(refused.exit_code, 2) << value;
    EXPECT_THAT(refused.standard_error, HasSubstr("SESSION_TTL"));
  }
}

TEST_F(Step3Ttl, CounterWithoutExpiryGetsOne) {
  redis().command({"HSET", "user:alice", "visits", "41"});
  EXPECT_EQ(visits_in(visit("alice")), 42);
  EXPECT_GT(remaining("alice"), 0);
}

}  // namespace
}  // namespace sessions::test

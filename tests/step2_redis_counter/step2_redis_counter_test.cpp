// Step 2: visits are counted in Redis.

#include "counter_scenarios.hpp"
#include "redis_cluster_scenarios.hpp"
#include "redis_fault_scenarios.hpp"
#include "rule.hpp"

namespace sessions::test {
namespace {

class Step2Contract : public CounterScenarios {
 protected:
  Step2Contract() : CounterScenarios{"step2_redis_counter", Store::kRedis} {}
};

class Step2RedisCounter : public RedisFaultScenarios {
 protected:
  Step2RedisCounter() : RedisFaultScenarios{"step2_redis_counter", Store::kRedis} {}
};

class Step2RedisCluster : public RedisClusterScenarios {
 protected:
  Step2RedisCluster() : RedisClusterScenarios{"step2_redis_counter", Store::kRedis} {}
};

[[maybe_unused]] const bool kRegistered =
    register_scenarios<Step2Contract>("Step2Contract", HttpScenarios::all()) &&
    register_scenarios<Step2Contract>("Step2Contract", CounterScenarios::counting()) &&
    register_scenarios<Step2RedisCounter>("Step2RedisCounter", ProgramScenarios::all()) &&
    register_scenarios<Step2RedisCounter>("Step2RedisCounter", RedisScenarios::storing()) &&
    register_scenarios<Step2RedisCounter>("Step2RedisCounter", RedisFaultScenarios::faults()) &&
    register_scenarios<Step2RedisCluster>("Step2RedisCluster", RedisClusterScenarios::all());

TEST_F(Step2RedisCounter, CounterNeverExpires) {
  const Rule rule{"counter.lasting"};
  visit("alice");
  EXPECT_EQ(redis().command({"TTL", "user:alice"}), "-1");
}

}  // namespace
}  // namespace sessions::test

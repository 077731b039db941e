// What steps 2 and 3 promise on a Redis Cluster: each visit is counted once, whatever moves.
#pragma once

#include <span>

#include "redis_cluster.hpp"
#include "step_test.hpp"

namespace sessions::test {

/// With a cluster of their own, under load.
class RedisClusterScenarios : public StepTest {
 public:
  static std::span<const Scenario<RedisClusterScenarios>> all();

 protected:
  using StepTest::StepTest;

 private:
  void planned_changes_lose_no_visit();
  void killed_primary_is_replaced_and_no_visit_counts_twice();
  void speaks_tls_with_password_to_announced_names();
};

}  // namespace sessions::test

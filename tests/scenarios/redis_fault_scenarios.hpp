// What steps 2 and 3 promise while Redis fails: nobody waits, and nothing that was counted is lost.
#pragma once

#include <span>

#include "redis_scenarios.hpp"

namespace sessions::test {

/// With a Redis of their own, or with a program that stands in for a broken one.
class RedisFaultScenarios : public RedisScenarios {
 public:
  static std::span<const Scenario<RedisFaultScenarios>> faults();

 protected:
  using RedisScenarios::RedisScenarios;

 private:
  void unreachable_redis_is_warning_at_start();
  void refused_connection_is_503_until_redis_is_back();
  void frozen_redis_is_503_until_it_goes_on();
  void restarted_redis_is_used_again_and_has_all_visits();
  void killed_redis_loses_no_acknowledged_visit();
  void wrong_password_is_503_and_is_not_logged();
  void wrong_database_is_503();
  void loading_redis_is_503_until_it_has_loaded();
  void reply_that_is_cut_off_is_503();
  void reply_that_is_no_redis_is_503();
  void silent_redis_is_503();

  void stops_after_request_in_flight_is_answered();
  void stops_though_redis_is_frozen();

  void expect_anonymous_pages_work(const std::string& url);
};

}  // namespace sessions::test

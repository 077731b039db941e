// What steps 2 and 3 promise about Redis: visits are counted, and faults are survived.
#pragma once

#include <span>

#include "http_scenarios.hpp"
#include "program_scenarios.hpp"

namespace sessions::test {

/// Over HTTP only.
class CounterScenarios : public HttpScenarios {
 public:
  static std::span<const Scenario<CounterScenarios>> counting();

 protected:
  using HttpScenarios::HttpScenarios;

 private:
  void visits_are_counted_from_one();
  void users_are_counted_apart();
  void two_browsers_of_one_user_share_counter();
  void counter_survives_logout();
  void head_counts_as_visit();
  void anonymous_visits_and_refused_requests_are_not_counted();
  void parallel_visits_are_each_counted_once();
};

/// With a Redis of their own.
class RedisScenarios : public ProgramScenarios {
 public:
  static std::span<const Scenario<RedisScenarios>> storing();

 protected:
  using ProgramScenarios::ProgramScenarios;

  std::vector<std::string> variables() const override { return {"REDIS_URL"}; }

  /// Visits as `username`, whose cookie is made without the server's store.
  Response visit(const std::string& username, const std::string& url);
  Response visit(const std::string& username) { return visit(username, server().url()); }

 private:
  void counter_is_field_of_hash_named_after_user();
  void names_with_any_characters_are_their_own_keys();
  void foreign_keys_stay_untouched();
  void wrong_type_is_500_and_key_stays_untouched();
  void two_servers_share_store_and_key();

  void check_prints_pong();
  void check_says_what_is_wrong();
  void refuses_wrong_redis_urls();
  void refuses_tls_that_hiredis_lacks();
  void logs_in_with_password();
  void logs_in_with_user_and_percent_encoded_password();
  void selects_database();
  void connects_to_unix_socket();
  void connects_to_name_with_several_addresses();

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

  void expect_unavailable(const std::string& url);
  void expect_anonymous_pages_work(const std::string& url);
};

}  // namespace sessions::test

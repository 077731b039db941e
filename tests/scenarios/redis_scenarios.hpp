// What steps 2 and 3 promise about Redis: what they store there, and how they get there.
#pragma once

#include <span>

#include "program_scenarios.hpp"

namespace sessions::test {

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
  /// A page that needs Redis is 503 within two seconds and says nothing of the inside.
  void expect_unavailable(const std::string& url);

 private:
  void counter_is_field_of_hash_named_after_user();
  void names_with_any_characters_are_their_own_keys();
  void foreign_keys_stay_untouched();
  void wrong_type_is_500_and_key_stays_untouched();
  void two_servers_share_store_and_key();

  void check_prints_pong();
  void check_says_what_is_wrong();
  void refuses_wrong_redis_urls();
  void speaks_tls();
  void refuses_old_tls();
  void logs_in_with_password();
  void logs_in_with_user_and_percent_encoded_password();
  void selects_database();
  void connects_to_unix_socket();
  void connects_to_name_with_several_addresses();
  void follows_the_primary_that_its_name_means();
};

}  // namespace sessions::test

// What step 5 promises over HTTP, whichever store is behind it.
#pragma once

#include <span>

#include "http_scenarios.hpp"
#include "store_under_test.hpp"

namespace sessions::test {

class SessionScenarios : public HttpScenarios {
 public:
  /// Over HTTP only, against any server.
  static std::span<const Scenario<SessionScenarios>> contract();
  /// Against a server whose settings and store are at hand.
  static std::span<const Scenario<SessionScenarios>> settings();

 protected:
  explicit SessionScenarios(StoreKind kind)
      : HttpScenarios{"step5_sessionstore", Store::kNone}, kind_{kind} {}

  void SetUp() override;
  Environment environment() override { return world().environment(); }

  StoreUnderTest& world();
  /// environment() with changes.
  Environment with(const Environment& changes);
  /// A client that has logged in at `url`, and keeps its cookies.
  static std::unique_ptr<HttpClient> logged_in_at(const std::string& url,
                                                  const std::string& username);

 private:
  void login_renews_token_and_ends_old_session();
  void planted_cookie_does_not_become_the_victims_session();
  void copied_cookie_is_worthless_after_logout();
  void logout_by_post_works();
  void two_browsers_of_one_user_count_apart();
  void logout_ends_one_browser_only();
  void logout_everywhere_ends_all_browsers_of_user();
  void sessions_page_is_for_users();
  void session_disappears_from_list_when_it_expires();
  void hundred_parallel_visits_are_each_counted_once();
  void head_counts_as_visit();
  void cookie_holds_nothing_but_a_token();
  void cross_site_requests_are_refused();
  void requests_of_own_pages_and_of_curl_work();
  void get_does_not_log_out_everywhere();

  void sessions_page_marks_this_one();
  void sessions_page_shows_newest_hundred();
  void one_login_too_many_ends_oldest_session();
  void logout_everywhere_ends_longer_sessions();
  void requests_of_sibling_hosts_are_refused();
  void unknown_and_malformed_tokens_are_anonymous();
  void idle_session_ends();
  void active_session_ends_at_maximum_age();
  void anonymous_visits_store_nothing();
  void log_of_a_visit_holds_no_token();
  void check_prints_pong();
  void refuses_wrong_settings();

  StoreKind kind_;
  std::unique_ptr<StoreUnderTest> world_;
};

}  // namespace sessions::test

// The contract over HTTP that steps 1, 2, 3 and 5 share: three routes, a cookie, pages, errors.
#pragma once

#include <span>

#include "step_test.hpp"

namespace sessions::test {

class HttpScenarios : public ContractTest {
 public:
  static std::span<const Scenario<HttpScenarios>> all();

 protected:
  using ContractTest::ContractTest;

  /// A client that has just logged in and keeps its cookies.
  std::unique_ptr<HttpClient> logged_in(const std::string& username);
  /// True if a visit with this Cookie header is answered as an anonymous one is.
  bool is_anonymous(const std::string& cookies);

 private:
  void visitor_is_anonymous_at_first();
  void login_page_has_form();
  void login_leads_to_page_with_name();
  void logout_ends_login_and_deletes_cookie();
  void only_a_visit_logs_out();
  void logging_in_again_changes_user();
  void two_browsers_do_not_meet();
  void cookie_has_its_attributes();
  void pages_have_their_headers();
  void pages_are_html5();
  void unknown_path_is_404();
  void wrong_method_is_405_with_allow();
  void head_has_same_headers_and_no_body();
  void options_answers_allow_and_changes_nothing();
  void login_without_usable_name_is_400_and_says_why();
  void longest_name_logs_in();
  void names_are_decoded_as_forms_are();
  void names_are_escaped_in_page();
  void http10_is_closed_unless_kept_alive();
  void http11_is_kept_alive_unless_closed();
  void malformed_request_is_400_and_next_client_is_served();
  void first_cookie_of_same_name_counts();
  void changed_cookie_is_no_cookie();
  void garbage_cookies_are_no_cookie();
  void other_cookies_do_no_harm();
};

}  // namespace sessions::test

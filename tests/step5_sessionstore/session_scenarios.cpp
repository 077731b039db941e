#include "session_scenarios.hpp"

#include <fmt/format.h>

#include <array>
#include <future>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "rule.hpp"
#include "session_token.hpp"
#include "token.hpp"

namespace sessions::test {

using testing::HasSubstr;
using testing::Not;

namespace {

constexpr const char* kAnonymous = "You are not logged in";

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

std::string cookie_line(const std::string& value) { return "session=" + value; }

/// The claims of a JWT, unverified.
nlohmann::json claims_of(const std::string& token) {
  const auto start = token.find('.') + 1;
  const auto encoded_claims = token.substr(start, token.rfind('.') - start);
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string decoded;
  unsigned int bits = 0;
  int size = 0;
  for (const char digit : encoded_claims) {
    bits = (bits << 6U) | static_cast<unsigned int>(kDigits.find(digit));
    size += 6;
    if (size >= 8) {
      size -= 8;
      decoded += static_cast<char>((bits >> static_cast<unsigned int>(size)) & 0xffU);
    }
  }
  return nlohmann::json::parse(decoded);
}

/// A cookie that the server has signed, but not for a session that it has started.
std::string cookie_with_sid(const nlohmann::json& sid) {
  const auto now = now_in_seconds();
  const nlohmann::json claims{
      {"aud", "cpp-sessions/sid"}, {"iat", now}, {"exp", now + 1000}, {"sid", sid}};
  return signed_token(R"({"alg":"HS256","typ":"JWT"})", claims.dump(), kTestKey);
}

}  // namespace

std::span<const Scenario<SessionScenarios>> SessionScenarios::contract() {
  using Self = SessionScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"LoginRenewsTheTokenAndEndsTheOldSession",
                     &Self::login_renews_token_and_ends_old_session},
      Scenario<Self>{"PlantedCookieDoesNotBecomeTheVictimsSession",
                     &Self::planted_cookie_does_not_become_the_victims_session},
      Scenario<Self>{"CopiedCookieIsWorthlessAfterLogout",
                     &Self::copied_cookie_is_worthless_after_logout},
      Scenario<Self>{"LogoutByPostWorks", &Self::logout_by_post_works},
      Scenario<Self>{"TwoBrowsersOfOneUserCountApart", &Self::two_browsers_of_one_user_count_apart},
      Scenario<Self>{"LogoutEndsOneBrowserOnly", &Self::logout_ends_one_browser_only},
      Scenario<Self>{"LogoutEverywhereEndsAllBrowsersOfTheUser",
                     &Self::logout_everywhere_ends_all_browsers_of_user},
      Scenario<Self>{"SessionsPageIsForUsers", &Self::sessions_page_is_for_users},
      Scenario<Self>{"SessionDisappearsFromTheListWhenItExpires",
                     &Self::session_disappears_from_list_when_it_expires},
      Scenario<Self>{"HundredParallelVisitsAreEachCountedOnce",
                     &Self::hundred_parallel_visits_are_each_counted_once},
      Scenario<Self>{"HeadCountsAsVisit", &Self::head_counts_as_visit},
      Scenario<Self>{"CookieHoldsNothingButAToken", &Self::cookie_holds_nothing_but_a_token},
      Scenario<Self>{"CrossSiteRequestsAreRefused", &Self::cross_site_requests_are_refused},
      Scenario<Self>{"RequestsOfOwnPagesAndOfCurlWork",
                     &Self::requests_of_own_pages_and_of_curl_work},
      Scenario<Self>{"GetDoesNotLogOutEverywhere", &Self::get_does_not_log_out_everywhere},
  };
  return kAll;
}

std::span<const Scenario<SessionScenarios>> SessionScenarios::settings() {
  using Self = SessionScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"SessionsPageMarksThisOne", &Self::sessions_page_marks_this_one},
      Scenario<Self>{"SessionsPageShowsTheNewestHundredAndHowManyThereAre",
                     &Self::sessions_page_shows_newest_hundred},
      Scenario<Self>{"OneLoginTooManyEndsTheOldestSession",
                     &Self::one_login_too_many_ends_oldest_session},
      Scenario<Self>{"LogoutEverywhereEndsSessionsWithALongerIdleTimeout",
                     &Self::logout_everywhere_ends_longer_sessions},
      Scenario<Self>{"RequestsOfSiblingHostsAreRefused",
                     &Self::requests_of_sibling_hosts_are_refused},
      Scenario<Self>{"UnknownAndMalformedTokensAreAnonymous",
                     &Self::unknown_and_malformed_tokens_are_anonymous},
      Scenario<Self>{"IdleSessionEnds", &Self::idle_session_ends},
      Scenario<Self>{"ActiveSessionEndsAtItsMaximumAge", &Self::active_session_ends_at_maximum_age},
      Scenario<Self>{"AnonymousVisitsStoreNothing", &Self::anonymous_visits_store_nothing},
      Scenario<Self>{"LogOfAVisitHoldsNoToken", &Self::log_of_a_visit_holds_no_token},
      Scenario<Self>{"CheckPrintsPong", &Self::check_prints_pong},
      Scenario<Self>{"RefusesWrongSettings", &Self::refuses_wrong_settings},
  };
  return kAll;
}

void SessionScenarios::SetUp() {
  HttpScenarios::SetUp();
  StoreUnderTest::skip_unless_installed(kind_);
}

StoreUnderTest& SessionScenarios::world() {
  if (!world_) {
    world_ = std::make_unique<StoreUnderTest>(kind_);
  }
  return *world_;
}

Environment SessionScenarios::with(const Environment& changes) {
  auto complete = environment();
  for (const auto& [name, value] : changes) {
    complete[name] = value;
  }
  return complete;
}

std::unique_ptr<HttpClient> SessionScenarios::logged_in_at(const std::string& url,
                                                           const std::string& username) {
  auto client = std::make_unique<HttpClient>(url);
  client->keep_cookies();
  logged_in_cookie(*client, username);
  return client;
}

void SessionScenarios::login_renews_token_and_ends_old_session() {
  const Rule rule{"session.renewed-at-login"};
  const auto name = unique_name("alice");
  HttpClient client{url()};
  client.keep_cookies();
  const auto first = logged_in_cookie(client, name);
  EXPECT_EQ(visits_in(client.get("/")), 1);
  const auto second = logged_in_cookie(client, name);
  EXPECT_NE(first, second);
  EXPECT_EQ(visits_in(client.get("/")), 1);
  EXPECT_TRUE(is_anonymous(cookie_line(first)));
  EXPECT_FALSE(is_anonymous(cookie_line(second)));
}

void SessionScenarios::planted_cookie_does_not_become_the_victims_session() {
  const Rule rule{"session.renewed-at-login"};
  HttpClient attacker{url()};
  const auto planted = logged_in_cookie(attacker, unique_name("mallory"));
  const auto victim = unique_name("victim");
  const auto login =
      HttpClient{url()}.post("/login", "username=" + victim, {cookie_header("session", planted)});
  ASSERT_EQ(login.status, 302);
  EXPECT_NE(login.cookie("session"), planted);
  EXPECT_TRUE(is_anonymous(cookie_line(planted)));
}

void SessionScenarios::copied_cookie_is_worthless_after_logout() {
  const Rule rule{"session.revoked"};
  HttpClient client{url()};
  const auto copy = logged_in_cookie(client, unique_name("alice"));
  EXPECT_FALSE(is_anonymous(cookie_line(copy)));
  EXPECT_EQ(client.get("/logout", {cookie_header("session", copy)}).status, 302);
  for (int attempts = 0; attempts < 3; ++attempts) {
    EXPECT_TRUE(is_anonymous(cookie_line(copy)));
  }
}

void SessionScenarios::logout_by_post_works() {
  const Rule rule{"session.logout-by-post"};
  HttpClient client{url()};
  const auto copy = logged_in_cookie(client, unique_name("alice"));
  const auto logout = client.post("/logout", "", {cookie_header("session", copy)});
  EXPECT_EQ(logout.status, 302);
  EXPECT_EQ(logout.header("Location"), "/");
  EXPECT_TRUE(is_anonymous(cookie_line(copy)));
}

void SessionScenarios::two_browsers_of_one_user_count_apart() {
  const Rule rule{"session.browsers-apart"};
  const auto name = unique_name("alice");
  const auto first = logged_in(name);
  const auto second = logged_in(name);
  EXPECT_EQ(visits_in(first->get("/")), 1);
  EXPECT_EQ(visits_in(first->get("/")), 2);
  EXPECT_EQ(visits_in(second->get("/")), 1);
  EXPECT_EQ(visits_in(first->get("/")), 3);
}

void SessionScenarios::logout_ends_one_browser_only() {
  const Rule rule{"session.browsers-apart"};
  const auto name = unique_name("alice");
  const auto first = logged_in(name);
  const auto second = logged_in(name);
  first->get("/logout");
  EXPECT_TRUE(first->get("/").contains(kAnonymous));
  EXPECT_EQ(visits_in(second->get("/")), 1);
}

void SessionScenarios::logout_everywhere_ends_all_browsers_of_user() {
  const Rule rule{"session.everywhere"};
  const auto name = unique_name("alice");
  const auto first = logged_in(name);
  const auto second = logged_in(name);
  const auto other = logged_in(unique_name("bob"));
  const auto answer = first->post("/logout-everywhere", "");
  EXPECT_EQ(answer.status, 302);
  EXPECT_EQ(answer.header("Location"), "/");
  EXPECT_TRUE(first->get("/").contains(kAnonymous));
  EXPECT_TRUE(second->get("/").contains(kAnonymous));
  EXPECT_EQ(visits_in(other->get("/")), 1);
}

void SessionScenarios::sessions_page_is_for_users() {
  const Rule rule{"session.list"};
  const auto anonymous = HttpClient{url()}.get("/sessions");
  EXPECT_LT(anonymous.status, 500);
  EXPECT_FALSE(anonymous.contains("logout-everywhere"));
  const auto client = logged_in(unique_name("alice"));
  const auto page = client->get("/sessions");
  EXPECT_EQ(page.status, 200);
  EXPECT_TRUE(page.contains("/logout-everywhere"));
}

void SessionScenarios::session_disappears_from_list_when_it_expires() {
  const Rule rule{"session.list"};
  const auto name = unique_name("alice");
  const auto watching = logged_in(name);
  const auto before = watching->get("/sessions").body;
  logged_in(name);
  // The pages differ in the times they show, so compare how long they are.
  EXPECT_GT(watching->get("/sessions").body.size(), before.size());
  EXPECT_TRUE(wait_until([&] { return watching->get("/sessions").body.size() == before.size(); },
                         seconds{20}));
}

void SessionScenarios::hundred_parallel_visits_are_each_counted_once() {
  const Rule rule{"session.atomic"};
  HttpClient client{url()};
  const auto cookie = logged_in_cookie(client, unique_name("alice"));
  std::vector<std::future<std::vector<int>>> browsers;
  for (int browser = 0; browser < 20; ++browser) {
    browsers.push_back(std::async(std::launch::async, [&] {
      HttpClient tab{url()};
      std::vector<int> visits;
      for (int visit = 0; visit < 5; ++visit) {
        visits.push_back(visits_in(tab.get("/", {cookie_header("session", cookie)})));
      }
      return visits;
    }));
  }
  std::vector<int> all;
  for (auto& browser : browsers) {
    for (const int visit : browser.get()) {
      all.push_back(visit);
    }
  }
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_THAT(all, testing::UnorderedElementsAreArray(expected));
}

void SessionScenarios::head_counts_as_visit() {
  const Rule rule{"session.atomic"};
  const auto client = logged_in(unique_name("alice"));
  EXPECT_EQ(client->request("HEAD", "/").status, 200);
  EXPECT_EQ(visits_in(client->get("/")), 2);
}

void SessionScenarios::cookie_holds_nothing_but_a_token() {
  const Rule rule{"session.opaque"};
  const auto name = unique_name("alice");
  HttpClient client{url()};
  const auto claims = claims_of(logged_in_cookie(client, name));
  for (const auto& [claim, value] : claims.items()) {
    EXPECT_THAT((std::array{"aud", "exp", "iat", "iss", "jti", "nbf", "sid"}),
                testing::Contains(claim));
  }
  EXPECT_GE(claims.at("sid").get<std::string>().size(), 22U);  // 128 bits in base64
  EXPECT_THAT(claims.dump(), Not(HasSubstr(name)));
}

void SessionScenarios::cross_site_requests_are_refused() {
  const Rule rule{"session.cross-site"};
  HttpClient client{url()};
  client.keep_cookies();
  logged_in_cookie(client, unique_name("alice"));
  const std::vector<Headers> foreign{
      {{"Sec-Fetch-Site", "cross-site"}},    {{"Sec-Fetch-Site", "cross-site"}, {"Origin", url()}},
      {{"Origin", "https://evil.example"}},  {{"Origin", "null"}},
      {{"Origin", url() + ".evil.example"}},
  };
  int visits = 0;
  for (const auto& headers : foreign) {
    EXPECT_EQ(client.post("/login", "username=mallory", headers).status, 403);
    EXPECT_EQ(client.post("/logout", "", headers).status, 403);
    EXPECT_EQ(client.get("/logout", headers).status, 403);
    EXPECT_EQ(client.post("/logout-everywhere", "", headers).status, 403);
    const auto page = client.get("/");
    EXPECT_EQ(visits_in(page), ++visits);
    EXPECT_THAT(page.body, Not(HasSubstr("mallory")));
  }
}

void SessionScenarios::requests_of_own_pages_and_of_curl_work() {
  const Rule rule{"session.own-site"};
  const std::vector<Headers> own{
      {},
      {{"Sec-Fetch-Site", "same-origin"}},
      {{"Sec-Fetch-Site", "same-origin"}, {"Origin", url()}},
      {{"Sec-Fetch-Site", "none"}},
      {{"Origin", url()}},
  };
  for (const auto& headers : own) {
    HttpClient client{url()};
    client.keep_cookies();
    EXPECT_EQ(client.post("/login", "username=" + unique_name("alice"), headers).status, 302);
    EXPECT_EQ(visits_in(client.get("/", headers)), 1);
    EXPECT_EQ(client.post("/logout-everywhere", "", headers).status, 302);
    EXPECT_EQ(client.get("/logout", headers).status, 302);
    EXPECT_EQ(client.post("/logout", "", headers).status, 302);
    EXPECT_TRUE(client.get("/").contains(kAnonymous));
  }
  // Reading is not refused: a link on another site may lead here.
  EXPECT_EQ(HttpClient{url()}.get("/", {{"Sec-Fetch-Site", "cross-site"}}).status, 200);
}

void SessionScenarios::get_does_not_log_out_everywhere() {
  const Rule rule{"session.everywhere"};
  const auto client = logged_in(unique_name("alice"));
  const auto answer = client->get("/logout-everywhere");
  EXPECT_EQ(answer.status, 405);
  EXPECT_THAT(answer.header("Allow").value_or(""), HasSubstr("POST"));
  EXPECT_EQ(visits_in(client->get("/")), 1);
}

void SessionScenarios::sessions_page_marks_this_one() {
  const auto first = logged_in("<i>alice</i>");
  const auto second = logged_in("<i>alice</i>");
  logged_in("bob");
  for (const auto* client : {first.get(), second.get()}) {
    const auto page = const_cast<HttpClient*>(client)->get("/sessions").body;
    EXPECT_EQ(count(page, "<li>"), 2);
    EXPECT_EQ(count(page, "(this one)"), 1);
    EXPECT_EQ(count(page, "last seen"), 2);
    EXPECT_EQ(count(page, "<i>"), 0);
  }
  EXPECT_NE(first->get("/sessions").body.find("(this one)"),
            second->get("/sessions").body.find("(this one)"));
}

void SessionScenarios::sessions_page_shows_newest_hundred() {
  const Rule rule{"session.list"};
  ServerProcess lasting{step(), with({{"SESSION_TTL", "600"}})};
  for (int login = 0; login < 119; ++login) {
    logged_in_at(lasting.url(), "alice");
  }
  const auto page = logged_in_at(lasting.url(), "alice")->get("/sessions").body;
  EXPECT_THAT(page, HasSubstr("Sessions of alice: 120, the newest 100:"));
  EXPECT_EQ(count(page, "<li>"), 100);
  EXPECT_EQ(count(page, "(this one)"), 1);
}

void SessionScenarios::one_login_too_many_ends_oldest_session() {
  const Rule rule{"session.bounded"};
  ServerProcess strict{step(), with({{"SESSION_TTL", "600"}, {"SESSION_MAX_PER_USER", "2"}})};
  const auto first = logged_in_at(strict.url(), "alice");
  const auto second = logged_in_at(strict.url(), "alice");
  EXPECT_EQ(visits_in(first->get("/")), 1);
  std::this_thread::sleep_for(milliseconds{2});  // Redis' clock has milliseconds
  EXPECT_EQ(visits_in(second->get("/")), 1);
  const auto third = logged_in_at(strict.url(), "alice");
  EXPECT_TRUE(first->get("/").contains(kAnonymous));
  EXPECT_EQ(visits_in(second->get("/")), 2);
  EXPECT_EQ(visits_in(third->get("/")), 1);
}

// With a store that outlives the process, the second server is the first one after a restart.
void SessionScenarios::logout_everywhere_ends_longer_sessions() {
  const Rule rule{"session.everywhere"};
  ServerProcess lasting{step(), with({{"SESSION_TTL", "3600"}})};
  HttpClient browser{lasting.url()};
  const auto cookie = cookie_header("session", logged_in_cookie(browser, "alice"));
  ServerProcess brief{step(), with({{"SESSION_TTL", "2"}})};
  std::this_thread::sleep_for(milliseconds{3500});  // idle for longer than the second one allows
  const auto again = logged_in_at(brief.url(), "alice");
  EXPECT_EQ(again->post("/logout-everywhere", "").status, 302);
  EXPECT_EQ(browser.get("/", {cookie}).contains(kAnonymous), kind_ != StoreKind::kMemory);
}

void SessionScenarios::requests_of_sibling_hosts_are_refused() {
  const Rule rule{"session.cross-site"};
  // The cookie is SameSite=Lax, and for the browser the other hosts of a domain are the same site.
  const auto client = logged_in("alice");
  const Headers sibling{{"Sec-Fetch-Site", "same-site"}};
  EXPECT_EQ(client->post("/login", "username=mallory", sibling).status, 403);
  EXPECT_EQ(client->post("/logout", "", sibling).status, 403);
  EXPECT_EQ(client->post("/logout-everywhere", "", sibling).status, 403);
  EXPECT_EQ(visits_in(client->get("/")), 1);
}

void SessionScenarios::unknown_and_malformed_tokens_are_anonymous() {
  const Rule rule{"session.unknown"};
  const std::string unknown{SessionToken::random(tag_of("alice")).text()};
  for (const auto& sid : {nlohmann::json(unknown), nlohmann::json(""), nlohmann::json("../x"),
                          nlohmann::json(std::string(32, 'a')), nlohmann::json(unknown + "0"),
                          nlohmann::json(5), nlohmann::json::array(), nlohmann::json()}) {
    const auto cookie = cookie_with_sid(sid);
    const auto page = HttpClient{url()}.get("/", {cookie_header("session", cookie)});
    EXPECT_THAT(page.body, HasSubstr(kAnonymous)) << sid;
    EXPECT_EQ(page.header("Set-Cookie"), std::nullopt);
    const auto login =
        HttpClient{url()}.post("/login", "username=alice", {cookie_header("session", cookie)});
    EXPECT_EQ(login.status, 302);
    EXPECT_NE(claims_of(login.cookie("session").value()).at("sid"), sid);
    EXPECT_TRUE(is_anonymous(cookie_line(cookie))) << sid;
  }
}

void SessionScenarios::idle_session_ends() {
  const Rule rule{"session.idle"};
  // Long enough for two logins and a visit on a busy machine.
  ServerProcess brief{step(), with({{"SESSION_TTL", "4"}})};
  const auto name = unique_name("alice");
  const auto idle = logged_in_at(brief.url(), name);
  const auto watching = logged_in_at(brief.url(), name);
  EXPECT_EQ(visits_in(idle->get("/")), 1);
  const auto last_visit = Clock::now();
  ASSERT_TRUE(wait_until([&] { return count(watching->get("/sessions").body, "<li>") == 1; }));
  EXPECT_GE(Clock::now() - last_visit, milliseconds{3900});
  EXPECT_TRUE(idle->get("/").contains(kAnonymous));
  EXPECT_EQ(visits_in(watching->get("/")), 1);
}

void SessionScenarios::active_session_ends_at_maximum_age() {
  const Rule rule{"session.maximum-age"};
  ServerProcess brief{step(), with({{"SESSION_TTL", "60"}, {"SESSION_MAX_AGE", "2"}})};
  const auto before = Clock::now();
  const auto client = logged_in_at(brief.url(), "alice");
  ASSERT_TRUE(wait_until([&] { return client->get("/").contains(kAnonymous); }));
  EXPECT_GE(Clock::now() - before, seconds{2});
  EXPECT_LT(Clock::now() - before, seconds{5} * kSlowdown);
}

void SessionScenarios::anonymous_visits_store_nothing() {
  const Rule rule{"session.nothing-stored"};
  for (int visit = 0; visit < 3; ++visit) {
    HttpClient client{url()};
    client.get("/");
    client.get("/login");
    client.get("/sessions");
    client.get("/logout");
    client.post("/logout-everywhere", "");
    client.post("/login", "username=");
    client.get("/", {cookie_header("session",
                                   cookie_with_sid(SessionToken::random(tag_of("alice")).text()))});
  }
  if (auto* redis = world().redis()) {
    EXPECT_EQ(redis->command({"DBSIZE"}), "0");
  }
  if (auto* project = world().project()) {
    EXPECT_THAT(project->collections(), testing::IsEmpty());
  }
  EXPECT_EQ(visits_in(logged_in("alice")->get("/")), 1);
}

void SessionScenarios::log_of_a_visit_holds_no_token() {
  HttpClient client{server().url()};
  const auto cookie = logged_in_cookie(client, "alice");
  client.get("/", {cookie_header("session", cookie)});
  client.get("/logout", {cookie_header("session", cookie)});
  const auto log = server().log();
  EXPECT_THAT(log, Not(HasSubstr(cookie)));
  EXPECT_THAT(log, Not(HasSubstr(claims_of(cookie).at("sid").get<std::string>())));
  EXPECT_THAT(log, Not(HasSubstr(std::string{kTestKey})));
}

void SessionScenarios::check_prints_pong() {
  const auto check = run_program({"--check"});
  EXPECT_EQ(check.exit_code, 0);
  EXPECT_THAT(check.standard_output, testing::StartsWith("PONG"));
}

void SessionScenarios::refuses_wrong_settings() {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"SESSION_STORE", "banana"},    {"SESSION_STORE", "memory"},
      {"SESSION_STORE", "redis:"},    {"SESSION_TTL", "0"},
      {"SESSION_TTL", "-1"},          {"SESSION_TTL", "1.5"},
      {"SESSION_TTL", "ten"},         {"SESSION_MAX_AGE", "0"},
      {"SESSION_MAX_AGE", "1e3"},     {"SESSION_MAX_AGE", "99999999999999"},
      {"SESSION_MAX_AGE", "2678401"},  // a second more than the cookie is valid
      {"SESSION_MAX_PER_USER", "0"},  {"SESSION_MAX_PER_USER", "10001"}};
  for (const auto& [name, value] : wrong) {
    const auto refused = run_program({"--port", "0"}, {{name, value}});
    EXPECT_EQ(refused.exit_code, 2) << name << '=' << value;
    EXPECT_THAT(refused.standard_error, HasSubstr(name)) << value;
    EXPECT_EQ(count(refused.standard_error, "\n"), 1);
  }
}

}  // namespace sessions::test

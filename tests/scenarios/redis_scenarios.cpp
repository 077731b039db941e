#include "redis_scenarios.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <future>
#include <mutex>
#include <numeric>
#include <thread>

#include "raw_connection.hpp"
#include "redis_stand_in.hpp"
#include "token.hpp"

namespace sessions::test {

using testing::HasSubstr;
using testing::Not;

namespace {

#ifdef SESSIONS_HIREDIS_TLS
constexpr bool kHiredisHasTls = true;
#else
constexpr bool kHiredisHasTls = false;
#endif

}  // namespace

std::span<const Scenario<CounterScenarios>> CounterScenarios::counting() {
  using Self = CounterScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"VisitsAreCountedFromOne", &Self::visits_are_counted_from_one},
      Scenario<Self>{"UsersAreCountedApart", &Self::users_are_counted_apart},
      Scenario<Self>{"TwoBrowsersOfOneUserShareCounter",
                     &Self::two_browsers_of_one_user_share_counter},
      Scenario<Self>{"CounterSurvivesLogout", &Self::counter_survives_logout},
      Scenario<Self>{"HeadCountsAsVisit", &Self::head_counts_as_visit},
      Scenario<Self>{"AnonymousVisitsAndRefusedRequestsAreNotCounted",
                     &Self::anonymous_visits_and_refused_requests_are_not_counted},
      Scenario<Self>{"ParallelVisitsAreEachCountedOnce",
                     &Self::parallel_visits_are_each_counted_once},
  };
  return kAll;
}

void CounterScenarios::visits_are_counted_from_one() {
  const auto name = unique_name("anna");
  const auto client = logged_in(name);
  for (int visit = 1; visit <= 5; ++visit) {
    EXPECT_THAT(client->get("/").body,
                HasSubstr(fmt::format("Logged in as {}.<br>\nVisits: {}\n", name, visit)));
  }
}

void CounterScenarios::users_are_counted_apart() {
  const auto one = logged_in(unique_name("bert"));
  const auto other = logged_in(unique_name("bert"));
  EXPECT_EQ(visits_in(one->get("/")), 1);
  EXPECT_EQ(visits_in(one->get("/")), 2);
  EXPECT_EQ(visits_in(other->get("/")), 1);
}

void CounterScenarios::two_browsers_of_one_user_share_counter() {
  const auto name = unique_name("clara");
  const auto one = logged_in(name);
  const auto other = logged_in(name);
  EXPECT_EQ(visits_in(one->get("/")), 1);
  EXPECT_EQ(visits_in(other->get("/")), 2);
}

void CounterScenarios::counter_survives_logout() {
  const auto name = unique_name("dora");
  const auto client = logged_in(name);
  EXPECT_EQ(visits_in(client->get("/")), 1);
  client->get("/logout");
  EXPECT_EQ(visits_in(client->get("/")), -1);
  client->post("/login", "username=" + name);
  EXPECT_EQ(visits_in(client->get("/")), 2);
}

void CounterScenarios::head_counts_as_visit() {
  const auto client = logged_in(unique_name("emil"));
  EXPECT_EQ(client->request("HEAD", "/").status, 200);
  EXPECT_EQ(visits_in(client->get("/")), 2);
}

void CounterScenarios::anonymous_visits_and_refused_requests_are_not_counted() {
  const auto client = logged_in(unique_name("frida"));
  EXPECT_EQ(visits_in(client->get("/")), 1);
  HttpClient{url()}.get("/");
  client->post("/", "x=y");
  client->get("/nowhere");
  client->get("/login");
  client->request("OPTIONS", "/");
  EXPECT_EQ(visits_in(client->get("/")), 2);
}

void CounterScenarios::parallel_visits_are_each_counted_once() {
  constexpr int kVisits = 200;
  constexpr int kClients = 20;
  HttpClient login{url()};
  const auto cookie = cookie_header("session", logged_in_cookie(login, unique_name("gustav")));
  const auto address = url();
  std::mutex mutex;
  std::vector<int> counts;
  {
    std::vector<std::jthread> clients;
    for (int number = 0; number < kClients; ++number) {
      clients.emplace_back([&] {
        HttpClient client{address};
        for (int visit = 0; visit < kVisits / kClients; ++visit) {
          const int count = visits_in(client.get("/", {cookie}));
          const std::lock_guard lock{mutex};
          counts.push_back(count);
        }
      });
    }
  }
  std::vector<int> expected(kVisits);
  std::iota(expected.begin(), expected.end(), 1);
  std::ranges::sort(counts);
  EXPECT_EQ(counts, expected);
}

std::span<const Scenario<RedisScenarios>> RedisScenarios::storing() {
  using Self = RedisScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"CounterIsFieldOfHashNamedAfterUser",
                     &Self::counter_is_field_of_hash_named_after_user},
      Scenario<Self>{"NamesWithAnyCharactersAreTheirOwnKeys",
                     &Self::names_with_any_characters_are_their_own_keys},
      Scenario<Self>{"ForeignKeysStayUntouched", &Self::foreign_keys_stay_untouched},
      Scenario<Self>{"WrongTypeIs500AndKeyStaysUntouched",
                     &Self::wrong_type_is_500_and_key_stays_untouched},
      Scenario<Self>{"TwoServersShareStoreAndKey", &Self::two_servers_share_store_and_key},
      Scenario<Self>{"CheckPrintsPong", &Self::check_prints_pong},
      Scenario<Self>{"CheckSaysWhatIsWrong", &Self::check_says_what_is_wrong},
      Scenario<Self>{"RefusesWrongRedisUrls", &Self::refuses_wrong_redis_urls},
      Scenario<Self>{"RefusesTlsThatHiredisLacks", &Self::refuses_tls_that_hiredis_lacks},
      Scenario<Self>{"LogsInWithPassword", &Self::logs_in_with_password},
      Scenario<Self>{"LogsInWithUserAndPercentEncodedPassword",
                     &Self::logs_in_with_user_and_percent_encoded_password},
      Scenario<Self>{"SelectsDatabase", &Self::selects_database},
      Scenario<Self>{"ConnectsToUnixSocket", &Self::connects_to_unix_socket},
      Scenario<Self>{"ConnectsToNameWithSeveralAddresses",
                     &Self::connects_to_name_with_several_addresses},
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

Response RedisScenarios::visit(const std::string& username, const std::string& url) {
  HttpClient client{url};
  return client.get("/", {cookie_header("session", logged_in_cookie(client, username))});
}

void RedisScenarios::counter_is_field_of_hash_named_after_user() {
  visit("alice");
  visit("alice");
  EXPECT_EQ(redis().command({"HGETALL", "user:alice"}), "visits\n2\n");
  EXPECT_EQ(redis().command({"KEYS", "*"}), "user:alice\n");
}

void RedisScenarios::names_with_any_characters_are_their_own_keys() {
  for (const std::string name : {"a b", "a*b", "user:alice", "a\"b'c", "%s%n{x}", "../..",
                                 "\xF0\x9F\x8D\xAA", "FLUSHALL", "1", "a\\r\\nb"}) {
    EXPECT_EQ(visits_in(visit(name)), 1) << name;
    EXPECT_EQ(redis().command({"HGET", "user:" + name, "visits"}), "1") << name;
  }
}

void RedisScenarios::foreign_keys_stay_untouched() {
  redis().command({"RPUSH", "celery", "job"});
  redis().command({"SET", "cache", "value", "EX", "1000"});
  redis().command({"HSET", "alice", "visits", "77"});
  for (const std::string name : {"celery", "cache", "alice"}) {
    EXPECT_EQ(visits_in(visit(name)), 1);
  }
  EXPECT_EQ(redis().command({"LRANGE", "celery", "0", "-1"}), "job\n");
  EXPECT_EQ(redis().command({"TTL", "celery"}), "-1");
  EXPECT_EQ(redis().command({"GET", "cache"}), "value");
  EXPECT_GT(std::stoi(*redis().command({"TTL", "cache"})), 900);
  EXPECT_EQ(redis().command({"HGET", "alice", "visits"}), "77");
}

void RedisScenarios::wrong_type_is_500_and_key_stays_untouched() {
  redis().command({"SET", "user:alice", "mine", "EX", "1000"});
  redis().command({"HSET", "user:bert", "visits", "many"});
  for (const std::string name : {"alice", "bert"}) {
    const auto response = visit(name);
    EXPECT_EQ(response.status, 500);
    EXPECT_THAT(response.body, Not(HasSubstr("WRONGTYPE")));
    EXPECT_THAT(response.body, Not(HasSubstr("integer")));
  }
  EXPECT_TRUE(server().logs("WRONGTYPE"));
  EXPECT_TRUE(server().logs("not an integer"));
  EXPECT_EQ(redis().command({"GET", "user:alice"}), "mine");
  EXPECT_GT(std::stoi(*redis().command({"TTL", "user:alice"})), 900);
  EXPECT_EQ(redis().command({"TTL", "user:bert"}), "-1");
  EXPECT_EQ(visits_in(visit("clara")), 1) << "the connection is still good";
}

void RedisScenarios::two_servers_share_store_and_key() {
  ServerProcess other{step(), environment()};
  HttpClient client{server().url()};
  const auto cookie = cookie_header("session", logged_in_cookie(client, "alice"));
  HttpClient other_client{other.url()};
  EXPECT_EQ(visits_in(client.get("/", {cookie})), 1);
  EXPECT_EQ(visits_in(other_client.get("/", {cookie})), 2);
  EXPECT_EQ(visits_in(client.get("/", {cookie})), 3);
}

void RedisScenarios::check_prints_pong() {
  const auto check = run_program({"--check"});
  EXPECT_EQ(check.exit_code, 0);
  EXPECT_EQ(check.standard_output, "PONG\n");
  EXPECT_EQ(check.standard_error, "");
}

void RedisScenarios::check_says_what_is_wrong() {
  const auto closed = fmt::format("redis://:sesame@127.0.0.1:{}", free_port());
  const auto refused = run_program({"--check"}, {{"REDIS_URL", closed}});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.standard_error, HasSubstr("refused"));
  EXPECT_THAT(refused.standard_error, HasSubstr("REDIS_URL"));
  EXPECT_THAT(refused.standard_error, Not(HasSubstr("sesame")));
  RedisProcess locked{{"--requirepass", "sesame"}};
  const auto no_password = run_program({"--check"}, {{"REDIS_URL", locked.url()}});
  EXPECT_EQ(no_password.exit_code, 1);
  EXPECT_THAT(no_password.standard_error, HasSubstr("NOAUTH"));
  redis().freeze();
  const auto frozen = run_program({"--check"});
  redis().thaw();
  EXPECT_EQ(frozen.exit_code, 1);
}

void RedisScenarios::refuses_wrong_redis_urls() {
  for (const std::string url :
       {"127.0.0.1:6379", "http://127.0.0.1:6379", "redis://", "redis:///0",
        "redis://127.0.0.1:port", "redis://127.0.0.1:99999", "redis://127.0.0.1/zero",
        "redis://127.0.0.1/-1", "redis://127.0.0.1/1/2", "redis://127.0.0.1/99999999999",
        "unix://relative.sock", "unix:///tmp/redis.sock?db=x", "unix:///tmp/redis.sock?x=1",
        "redis://127.0.0.1/0?db=1", "redis://127.0.0.1/0#1", "redis://user@127.0.0.1",
        "redis://a b", "nonsense", "redis://:p%00w@127.0.0.1"}) {
    SCOPED_TRACE(url);
    const auto refused = run_program({"--port", "0"}, {{"REDIS_URL", url}});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.standard_error, HasSubstr("REDIS_URL"));
    EXPECT_EQ(std::ranges::count(refused.standard_error, '\n'), 1) << refused.standard_error;
  }
}

void RedisScenarios::refuses_tls_that_hiredis_lacks() {
  if (kHiredisHasTls) {
    const auto check =
        run_program({"--check"}, {{"REDIS_URL", "rediss" + redis().url().substr(5)}});
    EXPECT_EQ(check.exit_code, 1) << "this Redis does not speak TLS";
    return;
  }
  const auto refused = run_program({"--port", "0"}, {{"REDIS_URL", "rediss://127.0.0.1:6379"}});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.standard_error, HasSubstr("REDIS_URL"));
  EXPECT_THAT(refused.standard_error, HasSubstr("TLS"));
}

void RedisScenarios::logs_in_with_password() {
  RedisProcess locked{{"--requirepass", "sesame"}};
  const auto url = fmt::format("redis://:sesame@127.0.0.1:{}", locked.port());
  ServerProcess other{step(), {{"REDIS_URL", url}}};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
  EXPECT_THAT(other.process().log(), Not(HasSubstr("sesame")));
}

void RedisScenarios::logs_in_with_user_and_percent_encoded_password() {
  redis().command({"ACL", "SETUSER", "ada", "on", ">p@ss/w:rd?#%", "~*", "+@all"});
  redis().command({"ACL", "SETUSER", "default", "off"});
  const auto url =
      fmt::format("redis://ada:{}@127.0.0.1:{}", encoded("p@ss/w:rd?#%"), redis().port());
  ServerProcess other{step(), {{"REDIS_URL", url}}};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
}

void RedisScenarios::selects_database() {
  ServerProcess other{step(), {{"REDIS_URL", redis().url() + "/5"}}};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
  EXPECT_EQ(redis().command({"DBSIZE"}), "0");
  EXPECT_THAT(redis().command({"INFO", "keyspace"}).value_or(""), HasSubstr("db5:keys=1"));
}

void RedisScenarios::connects_to_unix_socket() {
  ServerProcess other{step(), {{"REDIS_URL", "unix://" + redis().socket() + "?db=3"}}};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
  EXPECT_THAT(redis().command({"INFO", "keyspace"}).value_or(""), HasSubstr("db3:keys=1"));
  redis().restart();
  EXPECT_TRUE(wait_until([&] { return visits_in(visit("alice", other.url())) == 2; }));
  ServerProcess nowhere{step(), {{"REDIS_URL", "unix:///nowhere/redis.sock"}}};
  expect_unavailable(nowhere.url());
  EXPECT_TRUE(nowhere.logs("/nowhere/redis.sock"));
}

void RedisScenarios::connects_to_name_with_several_addresses() {
  const auto url = fmt::format("redis://localhost:{}", redis().port());
  ServerProcess other{step(), {{"REDIS_URL", url}}};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
  RedisProcess locked{{"--requirepass", "sesame"}};
  ServerProcess wrong{step(),
                      {{"REDIS_URL", fmt::format("redis://:wrong@localhost:{}", locked.port())}}};
  expect_unavailable(wrong.url());
  EXPECT_TRUE(wrong.logs("WRONGPASS"));
  EXPECT_THAT(wrong.log(), Not(HasSubstr("refused"))) << "of the other address";
}

void RedisScenarios::expect_unavailable(const std::string& url) {
  HttpClient client{url};
  const auto cookie = cookie_header("session", logged_in_cookie(client, "zoe"));
  const auto start = Clock::now();
  const auto response = client.get("/", {cookie});
  EXPECT_LT(Clock::now() - start, seconds{2} * kSlowdown);
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.header("Retry-After").value_or(""), testing::MatchesRegex("[0-9]+"));
  EXPECT_THAT(response.header("Content-Type").value_or(""), HasSubstr("text/html"));
  EXPECT_THAT(response.body, Not(HasSubstr("edis")));
  EXPECT_THAT(response.body, Not(HasSubstr("not logged in")));
}

void RedisScenarios::expect_anonymous_pages_work(const std::string& url) {
  HttpClient client{url};
  const auto start = Clock::now();
  EXPECT_EQ(client.get("/").status, 200);
  EXPECT_EQ(client.get("/login").status, 200);
  EXPECT_EQ(client.post("/login", "username=yara").status, 302);
  EXPECT_EQ(client.get("/logout").status, 302);
  EXPECT_LT(Clock::now() - start, milliseconds{900} * kSlowdown) << "somebody has waited for Redis";
}

void RedisScenarios::unreachable_redis_is_warning_at_start() {
  const auto url = fmt::format("redis://:sesame@127.0.0.1:{}", free_port());
  ServerProcess other{step(), {{"REDIS_URL", url}}};
  EXPECT_TRUE(other.logs("REDIS_URL"));
  EXPECT_TRUE(other.logs("refused"));
  expect_anonymous_pages_work(other.url());
  EXPECT_THAT(other.log(), Not(HasSubstr("sesame")));
}

void RedisScenarios::refused_connection_is_503_until_redis_is_back() {
  EXPECT_EQ(visits_in(visit("alice")), 1);
  redis().stop();
  expect_unavailable(server().url());
  expect_anonymous_pages_work(server().url());
  EXPECT_TRUE(server().logs("refused"));
  redis().start();
  EXPECT_EQ(visits_in(visit("zoe")), 1);
}

void RedisScenarios::frozen_redis_is_503_until_it_goes_on() {
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

void RedisScenarios::restarted_redis_is_used_again_and_has_all_visits() {
  for (int count = 1; count <= 3; ++count) {
    EXPECT_EQ(visits_in(visit("alice")), count);
    redis().restart();
  }
  EXPECT_EQ(visits_in(visit("alice")), 4);
}

void RedisScenarios::killed_redis_loses_no_acknowledged_visit() {
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

void RedisScenarios::wrong_password_is_503_and_is_not_logged() {
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

void RedisScenarios::wrong_database_is_503() {
  ServerProcess other{step(), {{"REDIS_URL", redis().url() + "/99"}}};
  expect_unavailable(other.url());
  EXPECT_TRUE(other.logs("DB index is out of range"));
  expect_anonymous_pages_work(other.url());
}

void RedisScenarios::loading_redis_is_503_until_it_has_loaded() {
  std::atomic<bool> is_loading = true;
  RedisStandIn stand_in{[&](std::string_view command) -> RedisStandIn::Answer {
    if (command == "SELECT") {
      return {"+OK\r\n"};
    }
    return {is_loading ? "-LOADING Redis is loading the dataset in memory\r\n" : ":1\r\n"};
  }};
  ServerProcess other{step(), {{"REDIS_URL", stand_in.url()}}};
  expect_unavailable(other.url());
  EXPECT_TRUE(other.logs("LOADING"));
  is_loading = false;
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
}

void RedisScenarios::reply_that_is_cut_off_is_503() {
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

void RedisScenarios::reply_that_is_no_redis_is_503() {
  RedisStandIn stand_in{[](std::string_view) -> RedisStandIn::Answer {
    return {"HTTP/1.1 400 Bad Request\r\n\r\n"};
  }};
  ServerProcess other{step(), {{"REDIS_URL", stand_in.url()}}};
  expect_unavailable(other.url());
  expect_anonymous_pages_work(other.url());
}

void RedisScenarios::silent_redis_is_503() {
  RedisStandIn stand_in{[](std::string_view) -> RedisStandIn::Answer { return {}; }};
  ServerProcess other{step(), {{"REDIS_URL", stand_in.url()}}};
  expect_unavailable(other.url());
  expect_anonymous_pages_work(other.url());
}

void RedisScenarios::stops_after_request_in_flight_is_answered() {
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
          RawConnection another{server().url()};
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

void RedisScenarios::stops_though_redis_is_frozen() {
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

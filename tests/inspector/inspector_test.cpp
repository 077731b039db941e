// What the inspector sees, and what it leaves alone.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <thread>

#include "inspected_step.hpp"
#include "raw_connection.hpp"
#include "redis_cluster.hpp"
#include "redis_process.hpp"
#include "step_test.hpp"
#include "tls_certificate.hpp"

namespace sessions::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

/// Step 3 with its Redis, inspected.
class Inspector : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisProcess::is_installed()) {
      skip_for_lack_of("redis-server");
    }
    redis_ = std::make_unique<RedisProcess>(redis_options());
    step_ = std::make_unique<InspectedStep>(
        "step3_ttl", "REDIS_URL", Environment{{"SESSION_TTL", "100"}},
        Environment{{"INSPECT_REDIS", redis_->url()}, {"SECRET_KEY", std::string{kTestKey}}});
  }

  virtual std::vector<std::string> redis_options() { return {}; }

  /// The cookie of a visitor who has logged in through the inspector.
  std::string log_in(const std::string& username) const {
    HttpClient client{step_->visitors_url()};
    return logged_in_cookie(client, username);
  }

  Response visit(const std::string& cookie, const Headers& more = {}) const {
    Headers headers{cookie_header("session", cookie)};
    headers.insert(headers.end(), more.begin(), more.end());
    return HttpClient{step_->visitors_url()}.get("/", headers);
  }

  /// The only jar whose User-Agent is this.
  json jar_of(const std::string& user_agent) const {
    std::vector<json> found;
    const auto events = step_->ask("/events");
    for (const auto& jar : events.at("jars")) {
      if (jar.at("userAgent") == user_agent) {
        found.push_back(jar);
      }
    }
    EXPECT_EQ(found.size(), 1) << user_agent;
    return found.empty() ? json{} : found.front();
  }

  std::unique_ptr<RedisProcess> redis_;
  std::unique_ptr<InspectedStep> step_;
};

bool all_have_ended(const json& events, std::size_t count) {
  const auto& exchanges = events.at("exchanges");
  return exchanges.size() == count && std::ranges::all_of(exchanges, [](const auto& exchange) {
           return exchange.at("ended") != 0;
         });
}

auto calls_that_wait(const json& events) {
  return std::ranges::count(events.at("calls"), json(0),
                            [](const json& call) { return call.at("ended"); });
}

TEST_F(Inspector, ShowsARequestWithItsStoreCall) {
  const auto cookie = log_in("alice");
  EXPECT_EQ(visits_in(visit(cookie)), 1);
  const auto events = step_->events_when([](const json& all) { return all_have_ended(all, 2); });
  const auto& visit = events.at("exchanges").at(1);
  EXPECT_EQ(visit.at("method"), "GET");
  EXPECT_EQ(visit.at("status"), 200);
  EXPECT_THAT(visit.at("response").at("body"), HasSubstr("Visits: 1"));
  EXPECT_EQ(visit.at("cookies").at(0).at("signature"), "current");
  const auto& call = events.at("calls").back();
  EXPECT_THAT(call.at("command").dump(), HasSubstr("\"user:alice\",\"100\""));
  EXPECT_EQ(call.at("reply"), "1");
  EXPECT_EQ(call.at("exchange"), visit.at("id"));
  EXPECT_EQ(call.at("certain"), true);
  EXPECT_LE(visit.at("started"), call.at("started"));
  EXPECT_LE(call.at("started"), call.at("ended"));
  EXPECT_LE(call.at("ended"), visit.at("ended"));
}

TEST_F(Inspector, WaitsForNewsAndTellsOnlyThem) {
  const auto version = step_->ask("/events").at("version").get<std::uint64_t>();
  std::jthread visitor{[this] {
    std::this_thread::sleep_for(milliseconds{200});
    log_in("alice");
  }};
  const auto begin = Clock::now();
  const auto news = step_->ask("/events", {{"Last-Event-ID", std::to_string(version)}});
  EXPECT_GE(Clock::now() - begin, milliseconds{150});
  EXPECT_EQ(news.at("exchanges").size(), 1);
  visitor.join();
  step_->events_when([](const json& all) { return all_have_ended(all, 1); });
  const auto last = step_->ask("/events").at("version").get<std::uint64_t>();
  EXPECT_TRUE(
      step_->ask("/events", {{"Last-Event-ID", std::to_string(last)}}).at("exchanges").empty());
}

TEST_F(Inspector, OverlappingRequestsGetTheCallsThatNameTheirUser) {
  const auto alice = log_in("alice");
  const auto bob = log_in("bob");
  visit(alice);  // the server is connected now
  redis_->freeze();
  std::jthread first{[&] { visit(alice); }};
  std::jthread second{[&] { visit(bob); }};
  step_->events_when([](const json& all) { return calls_that_wait(all) == 2; });
  redis_->thaw();
  first.join();
  second.join();
  const auto events = step_->events_when([](const json& all) { return all_have_ended(all, 5); });
  int named = 0;
  for (const auto& call : events.at("calls")) {
    if (call.at("certain") == false) {
      const auto id = call.at("exchange").get<std::size_t>();
      const auto& cookie = events.at("exchanges").at(id - 1).at("cookies").at(0).at("value");
      EXPECT_EQ(cookie == alice, call.at("command").dump().find("user:alice") != std::string::npos);
      ++named;
    }
  }
  EXPECT_GE(named, 1);  // the first of the two may have been alone when it called
}

TEST_F(Inspector, DoesNotGuessWhoseACallIs) {
  const auto alice = log_in("alice");
  visit(alice);
  redis_->freeze();
  {
    std::vector<std::jthread> visitors;
    for (int i = 0; i < 20; ++i) {
      visitors.emplace_back([&] { visit(alice); });
    }
    step_->events_when([](const json& all) { return calls_that_wait(all) == 20; });
    redis_->thaw();
  }
  const auto events = step_->events_when([](const json& all) { return all_have_ended(all, 22); });
  std::size_t shared = 0;
  for (const auto& call : events.at("calls")) {
    EXPECT_TRUE(call.at("exchange").is_null() || call.at("certain") == true) << call;
    shared += call.at("exchange").is_null() ? 1 : 0;
  }
  EXPECT_GE(shared, 19);
  EXPECT_EQ(redis_->command({"HGET", "user:alice", "visits"}), "21");
}

TEST_F(Inspector, SaysWhatIsInTheStoreAndForHowLong) {
  visit(log_in("alice"));
  redis_->command({"SET", "theirs", "a text"});
  const auto records = step_->ask("/store").at("records");
  ASSERT_EQ(records.size(), 2);
  const auto& visits = records.at(0).at("key") == "user:alice" ? records.at(0) : records.at(1);
  EXPECT_EQ(visits.at("type"), "hash");
  EXPECT_EQ(visits.at("fields"), json::parse(R"([["visits", "1"]])"));
  const auto remaining = std::stoi(redis_->command({"PTTL", "user:alice"}).value());
  EXPECT_NEAR(visits.at("ttl").get<int>(), remaining, 1000);
  const auto& theirs = records.at(records.at(0) == visits ? 1 : 0);
  EXPECT_TRUE(theirs.at("ttl").is_null());
  EXPECT_EQ(theirs.at("fields").at(0).at(1), "a text");
}

TEST_F(Inspector, SaysThatTheStoreCannotBeAsked) {
  redis_->stop();
  EXPECT_NE(step_->ask("/store").at("failure"), "");
  redis_->start();
  EXPECT_TRUE(
      wait_until([&] { return step_->ask("/store").at("failure").get<std::string>().empty(); }));
}

TEST_F(Inspector, KeepsVisitorsAndTheirCookiesApart) {
  const auto cookie = log_in("alice");
  visit(cookie, {{"User-Agent", "phone"}});
  auto changed = cookie;
  changed[cookie.find('.') + 20] = cookie[cookie.find('.') + 20] == 'A' ? 'B' : 'A';
  visit(changed, {{"User-Agent", "attacker"}});
  EXPECT_EQ(jar_of("phone").at("cookies").at(0).at("signature"), "current");
  EXPECT_EQ(jar_of("attacker").at("cookies").at(0).at("signature"), "wrong");
  EXPECT_EQ(jar_of("").at("cookies").at(0).at("value"), cookie);
}

TEST_F(Inspector, FollowsAJarThroughLoginLogoutAndANewLogin) {
  HttpClient browser{step_->visitors_url()};
  browser.keep_cookies();
  const Headers agent{{"User-Agent", "browser"}};
  browser.get("/", agent);
  browser.post("/login", "username=alice", agent);
  const auto first = jar_of("browser").at("cookies").at(0);
  EXPECT_THAT(first.at("attributes"), HasSubstr("HttpOnly"));
  browser.get("/logout", agent);
  EXPECT_TRUE(jar_of("browser").at("cookies").empty());
  EXPECT_EQ(jar_of("browser").at("deleted"), "session");
  EXPECT_EQ(jar_of("browser").at("past").at(0).at("value"), first.at("value"));
  browser.post("/login", "username=bob", agent);
  EXPECT_NE(jar_of("browser").at("cookies").at(0).at("value"), first.at("value"));
  EXPECT_EQ(jar_of("browser").at("requests"), 4);
}

TEST_F(Inspector, TellsTwoBrowsersOfOneKindApartOnceOneHasACookie) {
  HttpClient one{step_->visitors_url()};
  HttpClient two{step_->visitors_url()};
  one.keep_cookies();
  two.keep_cookies();
  const Headers agent{{"User-Agent", "browser"}};
  for (auto* client : {&one, &two, &one}) {
    client->get("/", agent);
  }
  EXPECT_EQ(jar_of("browser").at("requests"), 3);  // nobody can tell
  one.post("/login", "username=alice", agent);
  two.get("/", agent);
  two.post("/login", "username=bob", agent);
  one.get("/", agent);
  const auto jars = step_->ask("/events").at("jars");
  ASSERT_EQ(jars.size(), 2);
  EXPECT_NE(jars.at(0).at("cookies").at(0).at("value"), jars.at(1).at("cookies").at(0).at("value"));
}

TEST_F(Inspector, AnswersItsOwnPageOnly) {
  const auto statuses = [&](const Headers& headers) {
    HttpClient client{step_->inspector().url()};
    std::vector<int> all;
    for (const auto* path : {"/", "/main.js", "/about", "/events", "/store"}) {
      const auto response = client.get(path, headers);
      EXPECT_FALSE(response.header("Access-Control-Allow-Origin"));
      all.push_back(response.status);
    }
    auto with_type = headers;
    with_type.emplace_back("Content-Type", "application/json");
    for (const auto* path : {"/attack", "/plant"}) {
      all.push_back(client.post(path, "[]", with_type).status);
    }
    return all;
  };
  const std::vector<int> refused(7, 403);
  EXPECT_EQ(statuses({{"Host", "evil.example"}}), refused);
  EXPECT_EQ(statuses({{"Host", "127.0.0.1.evil.example:5001"}}), refused);
  EXPECT_EQ(statuses({{"Sec-Fetch-Site", "cross-site"}}), refused);
  EXPECT_EQ(statuses({{"Sec-Fetch-Site", "same-site"}}), refused);  // such as the step's own pages
  const std::vector<int> answered{200, 200, 200, 200, 200, 400, 400};
  EXPECT_EQ(statuses({{"Sec-Fetch-Site", "same-origin"}}), answered);
  EXPECT_EQ(statuses({}), answered);
}

TEST_F(Inspector, LetsThePageRunItsOwnScriptsOnly) {
  const auto page = HttpClient{step_->inspector().url()}.get("/");
  EXPECT_EQ(page.all_headers("Content-Security-Policy").size(), 1);
  const auto policy = page.header("Content-Security-Policy").value();
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'self'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(page.body, Not(HasSubstr("<script>")));
  EXPECT_THAT(page.body, Not(HasSubstr("style=")));
}

TEST_F(Inspector, NeverShowsTheKey) {
  visit(log_in("alice"));
  HttpClient client{step_->inspector().url()};
  for (const auto* path : {"/about", "/events", "/store"}) {
    EXPECT_THAT(client.get(path).body, Not(HasSubstr(kTestKey))) << path;
  }
  EXPECT_THAT(step_->inspector().log(), Not(HasSubstr(kTestKey)));
}

TEST_F(Inspector, PassesOnWhatItCannotRead) {
  RawConnection direct{step_->server().url()};
  RawConnection inspected{step_->visitors_url()};
  const std::string bytes = "\x16\x03\x01 no HTTP\r\n\r\n";
  direct.send(bytes);
  inspected.send(bytes);
  const auto without_date = [](std::string text) {
    const auto date = text.find("Date:");
    return date == std::string::npos ? text : text.erase(date, text.find('\n', date) - date);
  };
  EXPECT_EQ(without_date(inspected.read_to_end()), without_date(direct.read_to_end()));
  const auto events = step_->events_when([](const json& all) { return all_have_ended(all, 1); });
  EXPECT_EQ(events.at("exchanges").at(0).at("isHttp"), false);
  EXPECT_THAT(events.at("exchanges").at(0).at("request").at("head"),
              HasSubstr("\\x16\\x03\\x01 no HTTP"));
}

TEST_F(Inspector, KeepsTheLastRequestsAndCutsLongBodies) {
  HttpClient client{step_->visitors_url()};
  for (int i = 0; i < 520; ++i) {
    client.get("/login");
  }
  client.post("/login", fmt::format("username={:a>20000}", ""));
  const auto events = step_->events_when([](const json& all) { return all_have_ended(all, 500); });
  EXPECT_EQ(events.at("firstExchange"), 22);
  const auto& request = events.at("exchanges").back().at("request");
  EXPECT_EQ(request.at("bodySize"), 20009);
  EXPECT_EQ(request.at("body").get<std::string>().size(), 8192);
}

TEST_F(Inspector, TakesOnlyItselfWhenItIsKilled) {
  const auto cookie = log_in("alice");
  EXPECT_EQ(visits_in(visit(cookie)), 1);
  step_->kill_inspector();
  EXPECT_EQ(HttpClient{step_->server().url()}.get("/").status, 200);
  step_->start_inspector();
  EXPECT_TRUE(wait_until([&] { return visits_in(visit(cookie)) == 2; }));
}

TEST_F(Inspector, ApologizesWhenTheServerIsGone) {
  step_->server().stop();
  const auto response = HttpClient{step_->visitors_url()}.get("/");
  EXPECT_EQ(response.status, 502);
  EXPECT_THAT(response.body, HasSubstr("cannot reach the server"));
}

json attack(const std::string& cookie, int times) {
  return {{"method", "GET"},
          {"path", "/"},
          {"headers", json::array({json::array({"Cookie", "session=" + cookie})})},
          {"body", ""},
          {"times", times}};
}

TEST_F(Inspector, SendsARequestManyTimesAtOnce) {
  const auto answers = step_->post("/attack", attack(log_in("alice"), 20)).at("body");
  std::set<std::string> pages;
  for (const auto& answer : answers) {
    EXPECT_EQ(answer.at("status"), 200);
    pages.insert(answer.at("body").get<std::string>());
  }
  EXPECT_EQ(pages.size(), 20);
  EXPECT_EQ(redis_->command({"HGET", "user:alice", "visits"}), "20");
  EXPECT_EQ(jar_of("attack bench").at("requests"), 20);
}

TEST_F(Inspector, SendsNothingButOneRequest) {
  const auto refused = [&](const char* field, const json& value) {
    auto body = attack("x", 1);
    body[field] = value;
    return step_->post("/attack", body).at("status");
  };
  EXPECT_EQ(refused("path", "/ HTTP/1.1\r\nHost: b\r\n\r\nGET /"), 400);
  EXPECT_EQ(refused("path", "login"), 400);
  EXPECT_EQ(refused("method", "GET /"), 400);
  EXPECT_EQ(refused("headers", json::array({json::array({"A", "b\r\nC: d"})})), 400);
  EXPECT_EQ(refused("times", 0), 400);
  EXPECT_EQ(refused("times", 101), 400);
  EXPECT_EQ(refused("times", "many"), 400);
  EXPECT_TRUE(step_->ask("/events").at("exchanges").empty());
  const auto form = HttpClient{step_->inspector().url()}.post("/attack", attack("x", 1).dump());
  EXPECT_EQ(form.status, 400);  // as a form of another site would send it
}

TEST_F(Inspector, PlantsACookieWithTheNextAnswerOnly) {
  HttpClient browser{step_->visitors_url()};
  browser.get("/", {{"User-Agent", "victim"}});
  const json plant{{"jar", jar_of("victim").at("id")}, {"name", "session"}, {"value", "planted"}};
  EXPECT_EQ(step_->post("/plant", plant).at("status"), 200);
  EXPECT_FALSE(
      HttpClient{step_->visitors_url()}.get("/", {{"User-Agent", "other"}}).header("Set-Cookie"));
  EXPECT_EQ(browser.get("/", {{"User-Agent", "victim"}}).cookie("session"), "planted");
  EXPECT_EQ(jar_of("victim").at("cookies").at(0).at("value"), "planted");
  EXPECT_FALSE(browser.get("/", {{"User-Agent", "victim"}}).header("Set-Cookie"));
  auto line = plant;
  line["value"] = "a\r\nX: b";
  EXPECT_EQ(step_->post("/plant", line).at("status"), 400);
}

/// Step 3 with a Redis that is not the usual one, inspected.
class InspectorStores : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisProcess::is_installed()) {
      skip_for_lack_of("redis-server");
    }
  }

  void inspect(Environment inspector) {
    step_.emplace("step3_ttl", "REDIS_URL", Environment{{"SESSION_TTL", "100"}},
                  std::move(inspector));
  }
  Response visit(const std::string& username) const {
    HttpClient client{step_->visitors_url()};
    return client.get("/", {cookie_header("session", logged_in_cookie(client, username))});
  }

  std::optional<InspectedStep> step_;
};

TEST_F(InspectorStores, ShowsACallToEachNodeOfAClusterAndAllRecords) {
  RedisCluster cluster{RedisCluster::Access::kOpen, seconds{10}};
  inspect({{"INSPECT_REDIS", cluster.url()}});
  const auto node_of = [&](const std::string& key) {
    return fmt::format("127.0.0.1:{}", cluster.primary_of(cluster.slot_of(key)).port());
  };
  const std::vector<std::string> users{"alice", "frank", "zoe"};
  std::set<std::string> nodes;
  for (const auto& user : users) {
    EXPECT_EQ(visits_in(visit(user)), 1);
    nodes.insert(node_of("user:" + user));
  }
  EXPECT_EQ(nodes.size(), 3);
  const auto expect_last_call = [&](const std::string& node, const std::string& reply) {
    const auto call = step_->ask("/events").at("calls").back();
    EXPECT_EQ(call.at("node"), node);
    EXPECT_EQ(call.at("reply"), reply);
  };
  for (const auto& user : users) {
    EXPECT_EQ(visits_in(visit(user)), 2);
    expect_last_call(node_of("user:" + user), "2");
  }
  const auto records = step_->ask("/store").at("records");
  EXPECT_EQ(records.size(), users.size());
  for (const auto& record : records) {
    EXPECT_EQ(record.at("type"), "hash at " + node_of(record.at("key")));
  }

  const int slot = cluster.slot_of("user:alice");
  auto& from = cluster.primary_of(slot);
  auto& to = cluster.primary_of(cluster.slot_of("user:zoe"));
  cluster.begin_to_move(slot, from, to);
  cluster.move_keys(from, to, {"user:alice"});
  EXPECT_EQ(visits_in(visit("alice")), 3);
  expect_last_call(node_of("user:zoe"), "3");
  cluster.end_move(slot, from, to);
  EXPECT_EQ(visits_in(visit("alice")), 4);
  expect_last_call(node_of("user:zoe"), "4");
  std::vector<std::string> replies;
  const auto events = step_->ask("/events");
  for (const auto& call : events.at("calls")) {
    replies.push_back(call.at("reply"));
  }
  const auto there = fmt::format("{} {}", slot, node_of("user:zoe"));
  EXPECT_THAT(replies, testing::IsSupersetOf({"ASK " + there, "MOVED " + there}));
}

TEST_F(InspectorStores, SpeaksTlsToRedisAndNotToTheServer) {
  const TlsCertificate certificate{"DNS:localhost"};
  const auto port = std::to_string(free_port());
  const RedisProcess redis{certificate.options_of_redis(port)};
  inspect({{"INSPECT_REDIS", "rediss://localhost:" + port}, {"SSL_CERT_FILE", certificate.file()}});
  EXPECT_EQ(visits_in(visit("alice")), 1);
  EXPECT_EQ(step_->ask("/events").at("calls").back().at("reply"), "1");
  EXPECT_EQ(step_->ask("/store").at("records").size(), 1);

  inspect({{"INSPECT_REDIS", "rediss://127.0.0.1:" + port}, {"SSL_CERT_FILE", certificate.file()}});
  EXPECT_EQ(visit("alice").status, 503) << "the certificate is another one's";
  EXPECT_THAT(step_->ask("/store").at("failure").dump(), HasSubstr("mismatch"));
  inspect({{"INSPECT_REDIS", "rediss://localhost:" + port}});
  EXPECT_EQ(visit("alice").status, 503) << "nobody vouches for the certificate";
  EXPECT_EQ(redis.command({"HGET", "user:alice", "visits"}), "1");
}

struct Refusal {
  std::string setting;
  Environment environment;
};

TEST(InspectorSettings, RefusesWhatOthersMustNotSee) {
  const Environment good{{"INSPECT_URL", "http://127.0.0.1:1"}};
  const std::vector<Refusal> refusals{
      {"INSPECT_URL", {{"INSPECT_URL", ""}}},
      {"INSPECT_URL", {{"INSPECT_URL", "https://127.0.0.1:1"}}},
      {"INSPECT_URL", {{"INSPECT_URL", "http://192.0.2.1:80"}}},
      {"COOKIE_SECURE", {{"COOKIE_SECURE", "1"}}},
      {"--host", {{"HOST", "0.0.0.0"}}},
      {"INSPECT_REDIS", {{"INSPECT_REDIS", "redis://192.0.2.1:6379"}}},
      {"INSPECT_REDIS", {{"INSPECT_REDIS", "rediss://192.0.2.1:6379"}}},
      {"INSPECT_REDIS", {{"INSPECT_REDIS", "unix:///run/redis.sock"}}},
      {"INSPECT_FIRESTORE", {{"INSPECT_FIRESTORE", "firestore.googleapis.com:443"}}},
      {"INSPECT_PORT", {{"INSPECT_PORT", "65536"}}},
  };
  for (const auto& [setting, changes] : refusals) {
    auto environment = good;
    for (const auto& [name, value] : changes) {
      environment[name] = value;
    }
    const auto finished = run({program_of("inspector"), "--port", "0"}, environment);
    EXPECT_EQ(finished.exit_code, 2) << setting;
    EXPECT_THAT(finished.standard_error, HasSubstr(setting));
  }
}

}  // namespace
}  // namespace sessions::test

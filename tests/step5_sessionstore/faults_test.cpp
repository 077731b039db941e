// What can only happen to one of the stores: records that make no sense, servers that fail,
// requests that are slow.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <sstream>

#include "hold_proxy.hpp"
#include "session_scenarios.hpp"

namespace sessions::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kStep = "step5_sessionstore";
constexpr const char* kAnonymous = "You are not logged in";

/// One store, one user who is logged in, and the token of her session.
class OneSession : public testing::Test {
 protected:
  explicit OneSession(StoreKind kind) : kind_{kind} {}

  void SetUp() override {
    StoreUnderTest::skip_unless_installed(kind_);
    if (IsSkipped()) {
      return;
    }
    world_ = std::make_unique<StoreUnderTest>(kind_);
    server_ = std::make_unique<ServerProcess>(kStep, world_->environment());
    client_ = log_in(server_->url());
    EXPECT_EQ(visits_in(client_->get("/")), 1);
  }

  static std::unique_ptr<HttpClient> log_in(const std::string& url) {
    auto client = std::make_unique<HttpClient>(url);
    client->keep_cookies();
    logged_in_cookie(*client, "alice");
    return client;
  }

  StoreUnderTest& world() { return *world_; }
  RedisProcess& redis() { return *world_->redis(); }
  FirestoreProject& project() { return *world_->project(); }
  ServerProcess& server() { return *server_; }
  HttpClient& client() { return *client_; }

  void expect_no_session_and_a_log_line() {
    const auto page = client().get("/");
    EXPECT_EQ(page.status, 200);
    EXPECT_THAT(page.body, HasSubstr(kAnonymous));
    EXPECT_TRUE(server().logs("makes no sense"));
  }
  void expect_unavailable(milliseconds patience) {
    const auto before = Clock::now();
    const auto page = client().get("/");
    EXPECT_EQ(page.status, 503);
    EXPECT_NE(page.header("Retry-After"), std::nullopt);
    EXPECT_FALSE(page.contains(kAnonymous));
    EXPECT_LT(Clock::now() - before, patience * kSlowdown);
    EXPECT_EQ(client().get("/sessions").status, 503);
    EXPECT_EQ(client().post("/logout", "").status, 503);
    EXPECT_EQ(HttpClient{server().url()}.post("/login", "username=bob").status, 503);
    EXPECT_TRUE(HttpClient{server().url()}.get("/").contains(kAnonymous));
    EXPECT_EQ(HttpClient{server().url()}.get("/login").status, 200);
  }

 private:
  StoreKind kind_;
  std::unique_ptr<StoreUnderTest> world_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<HttpClient> client_;
};

class Step5RedisRecord : public OneSession {
 protected:
  Step5RedisRecord() : OneSession{StoreKind::kRedis} {}

  std::vector<std::string> keys(const std::string& pattern) {
    std::istringstream lines{redis().command({"KEYS", pattern}).value_or("")};
    std::vector<std::string> keys;
    for (std::string key; std::getline(lines, key);) {
      keys.push_back(key);
    }
    return keys;
  }
  std::string key() { return keys("session:*").at(0); }
  std::string index() { return keys("sessions-of:*").at(0); }
};

TEST_F(Step5RedisRecord, IsAHashThatPeopleCanRead) {
  EXPECT_EQ(redis().command({"TYPE", key()}), "hash");
  EXPECT_EQ(redis().command({"HGET", key(), "username"}), "alice");
  EXPECT_EQ(redis().command({"HGET", key(), "visits"}), "1");
}

TEST_F(Step5RedisRecord, NoKeyIsWithoutExpiryAndNoneIsLeft) {
  client().get("/sessions");
  log_in(server().url());
  const auto all = keys("*");
  EXPECT_EQ(all.size(), 3U);
  for (const auto& one : all) {
    const auto remaining = std::stoi(*redis().command({"PTTL", one}));
    EXPECT_GT(remaining, 0) << one;
    EXPECT_LE(remaining, 11000) << one;
  }
  EXPECT_TRUE(wait_until([&] { return redis().command({"DBSIZE"}) == "0"; }, seconds{20}));
}

TEST_F(Step5RedisRecord, LiesInOneSlotWithTheIndexAndItsKeysDoNotNameTheUser) {
  const auto tag = index().substr(std::string{"sessions-of:"}.size());
  EXPECT_THAT(tag, testing::MatchesRegex("[{][A-Za-z0-9_-]{11}[}]"));
  EXPECT_THAT(key(), testing::StartsWith("session:" + tag + ":"));
  EXPECT_THAT(redis().command({"ZRANGE", index(), "0", "-1"}).value(),
              testing::Eq(key().substr(key().find("}:") + 2) + "\n"));
}

TEST_F(Step5RedisRecord, IndexHoldsLiveSessionsOnly) {
  log_in(server().url())->get("/logout");
  EXPECT_EQ(redis().command({"ZCARD", index()}), "1");
  EXPECT_EQ(keys("session:*").size(), 1U);
  redis().command({"ZADD", index(), "1000", "expired"});
  const auto again = log_in(server().url());
  EXPECT_EQ(redis().command({"ZCARD", index()}), "2");
  again->post("/logout-everywhere", "");
  EXPECT_THAT(keys("sessions-of:*"), IsEmpty());
}

TEST_F(Step5RedisRecord, ThatTheIndexDoesNotNameIsNoSessionThoughItIsThere) {
  redis().command({"DEL", index()});
  EXPECT_TRUE(client().get("/").contains(kAnonymous));
  EXPECT_EQ(redis().command({"HGET", key(), "visits"}), "1");
  EXPECT_THAT(keys("sessions-of:*"), IsEmpty());
}

TEST_F(Step5RedisRecord, ThatIsGoneIsNoSessionThoughTheIndexNamesIt) {
  redis().command({"DEL", key()});
  EXPECT_TRUE(client().get("/").contains(kAnonymous));
  EXPECT_THAT(keys("session:*"), IsEmpty());
}

TEST_F(Step5RedisRecord, ThatIsGoneIsNotCountedInTheList) {
  EventLoop event_loop;
  const auto store = world().make(event_loop, {.idle = seconds{60}, .absolute = seconds{600}});
  EXPECT_EQ(event_loop.wait_for(store->list("alice")).count, 1U);
  redis().command({"DEL", key()});
  EXPECT_EQ(event_loop.wait_for(store->list("alice")).count, 0U);
}

TEST_F(Step5RedisRecord, LostExpiryIsSetAgain) {
  redis().command({"PERSIST", key()});
  EXPECT_TRUE(wait_until([&] {
    return visits_in(client().get("/")) > 1 && std::stoi(*redis().command({"PTTL", key()})) > 0;
  }));
}

TEST_F(Step5RedisRecord, ForeignKeyOfThatNameIsNoSessionAndStaysUntouched) {
  const auto name = key();
  redis().command({"DEL", name});
  redis().command({"SET", name, "foreign"});
  expect_no_session_and_a_log_line();
  client().get("/logout");
  EXPECT_EQ(redis().command({"GET", name}), "foreign");
  EXPECT_EQ(redis().command({"PTTL", name}), "-1");
}

TEST_F(Step5RedisRecord, ForeignHashOfThatNameIsNoSessionAndStaysUntouched) {
  const auto name = key();
  redis().command({"DEL", name});
  redis().command({"HSET", name, "visits", "41"});
  expect_no_session_and_a_log_line();
  EXPECT_EQ(redis().command({"HGET", name, "visits"}), "41");
  EXPECT_EQ(redis().command({"PTTL", name}), "-1");
}

TEST_F(Step5RedisRecord, WithoutUsernameIsNoSession) {
  redis().command({"HDEL", key(), "username"});
  expect_no_session_and_a_log_line();
}

TEST_F(Step5RedisRecord, LogLineOfACorruptOneHoldsNoToken) {
  const auto secret = key().substr(key().find("}:") + 2);
  redis().command({"HDEL", key(), "username"});
  expect_no_session_and_a_log_line();
  EXPECT_THAT(server().log(), testing::Not(HasSubstr(secret)));
}

TEST_F(Step5RedisRecord, WithoutCreationIsNoSession) {
  redis().command({"HSET", key(), "createdAt", "yesterday"});
  expect_no_session_and_a_log_line();
}

TEST_F(Step5RedisRecord, PastItsLifetimeIsNoSessionThoughTheIndexNamesIt) {
  redis().command({"HSET", key(), "createdAt", "1000"});
  EXPECT_TRUE(client().get("/").contains(kAnonymous));
}

TEST_F(Step5RedisRecord, ThatHasExpiredIsNoSessionAndNotListedThoughItIsThere) {
  redis().command({"ZADD", index(), "1000", key().substr(key().find("}:") + 2)});
  const auto page = log_in(server().url())->get("/sessions").body;
  EXPECT_THAT(page, HasSubstr("Sessions of alice: 1\n"));
  EXPECT_EQ(page.find("<li>"), page.rfind("<li>")) << page;
  EXPECT_TRUE(client().get("/").contains(kAnonymous));
}

TEST_F(Step5RedisRecord, IsGoneWithItsLifetimeThoughItWasNeverUsed) {
  redis().command({"FLUSHALL"});
  EventLoop event_loop;
  const auto store = world().make(event_loop, {.idle = seconds{60}, .absolute = milliseconds{100}});
  event_loop.wait_for(
      [](SessionStore& in) -> asio::awaitable<void> { co_await in.create("alice"); }(*store));
  EXPECT_TRUE(wait_until([&] { return keys("session:*").empty(); }));
}

TEST_F(Step5RedisRecord, WithVisitsThatAreNoNumberIsNoSession) {
  redis().command({"HSET", key(), "visits", "many"});
  expect_no_session_and_a_log_line();
  EXPECT_EQ(redis().command({"HGET", key(), "visits"}), "many");
}

TEST_F(Step5RedisRecord, ForgottenScriptsAreSentAgain) {
  redis().command({"SCRIPT", "FLUSH"});
  EXPECT_EQ(visits_in(client().get("/")), 2);
}

class Step5RedisFaults : public OneSession {
 protected:
  Step5RedisFaults() : OneSession{StoreKind::kRedis} {}

  void expect_refusal(const Response& page) {
    EXPECT_EQ(page.status, 503);
    EXPECT_NE(page.header("Retry-After"), std::nullopt);
    EXPECT_FALSE(page.contains(kAnonymous));
  }
  /// Redis refuses to write after the one command, and writes again after the other.
  void expect_refused_writes_are_503(const std::vector<std::string>& refuse,
                                     const std::vector<std::string>& cure) {
    redis().command(refuse);
    expect_refusal(client().get("/"));
    expect_refusal(HttpClient{server().url()}.post("/login", "username=bob"));
    EXPECT_TRUE(HttpClient{server().url()}.get("/").contains(kAnonymous));
    redis().command(cure);
    EXPECT_TRUE(wait_until([&] { return visits_in(client().get("/")) == 2; }));
    EXPECT_EQ(redis().command({"DBSIZE"}), "2");
  }
};

TEST_F(Step5RedisFaults, WithoutMemoryIs503) {
  expect_refused_writes_are_503({"CONFIG", "SET", "maxmemory", "1"},
                                {"CONFIG", "SET", "maxmemory", "0"});
}

TEST_F(Step5RedisFaults, WithoutReplicasIs503) {
  expect_refused_writes_are_503({"CONFIG", "SET", "min-replicas-to-write", "1"},
                                {"CONFIG", "SET", "min-replicas-to-write", "0"});
}

TEST_F(Step5RedisFaults, ReplicaIs503) {
  expect_refused_writes_are_503({"REPLICAOF", "127.0.0.1", "1"}, {"REPLICAOF", "NO", "ONE"});
}

TEST_F(Step5RedisFaults, ThatCannotSaveIs503) {
  // In the place of the file that it wants to write.
  std::filesystem::create_directory(
      std::filesystem::path{redis().socket()}.replace_filename("dump.rdb"));
  redis().command({"BGSAVE"});
  ASSERT_TRUE(wait_until([&] {
    return redis().command({"INFO", "persistence"})->find("rdb_last_bgsave_status:err") !=
           std::string::npos;
  }));
  expect_refused_writes_are_503({"CONFIG", "SET", "save", "3600 1"}, {"CONFIG", "SET", "save", ""});
}

TEST_F(Step5RedisFaults, ThatForbidsACommandInsideOfAScriptIs503) {
  redis().command({"ACL", "SETUSER", "default", "-hincrby", "-zadd"});
  expect_refusal(client().get("/"));
  expect_refusal(HttpClient{server().url()}.post("/login", "username=bob"));
  redis().command({"ACL", "SETUSER", "default", "+@all"});
  EXPECT_EQ(visits_in(client().get("/")), 2);
}

TEST_F(Step5RedisFaults, ManySessionsOfAUserAreListedInPartAndEndedAtOnce) {
  const auto index = redis().command({"KEYS", "sessions-of:*"}).value();
  redis().command({"EVAL", "for i = 1, 300000 do redis.call('ZADD', KEYS[1], 9e12, i) end", "1",
                   index.substr(0, index.size() - 1)});
  const auto page = client().get("/sessions");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("Sessions of alice: 300001, the newest"));
  EXPECT_LT(page.body.size(), 10'000U);
  const auto ended = client().post("/logout-everywhere", "");
  EXPECT_EQ(ended.status, 302);
  EXPECT_EQ(ended.cookie("session"), "");
  EXPECT_EQ(redis().command({"EXISTS", index.substr(0, index.size() - 1)}), "0");
}

TEST_F(Step5RedisFaults, FrozenRedisIs503UntilItGoesOn) {
  redis().freeze();
  expect_unavailable(seconds{2});
  redis().thaw();
  // The commands that were under way may have been executed, as those of a slow network.
  EXPECT_TRUE(wait_until([&] { return client().get("/").status == 200; }));
}

TEST_F(Step5RedisFaults, RestartedRedisIsUsedAgainAndHasAllSessions) {
  redis().stop();
  expect_unavailable(seconds{2});
  redis().start();
  EXPECT_TRUE(wait_until([&] { return visits_in(client().get("/")) == 2; }));
}

TEST_F(Step5RedisFaults, TwoServersShareSessions) {
  ServerProcess other{kStep, world().environment()};
  HttpClient here{server().url()};
  const auto cookie = cookie_header("session", logged_in_cookie(here, "bob"));
  EXPECT_EQ(visits_in(here.get("/", {cookie})), 1);
  HttpClient there{other.url()};
  EXPECT_EQ(visits_in(there.get("/", {cookie})), 2);
  EXPECT_EQ(there.get("/logout", {cookie}).status, 302);
  EXPECT_TRUE(here.get("/", {cookie}).contains(kAnonymous));
}

class Step5FirestoreRecord : public OneSession {
 protected:
  Step5FirestoreRecord() : OneSession{StoreKind::kFirestore} {}

  std::string path() { return "sessions/" + project().ids("sessions").at(0); }
  /// Writes the record with one field changed, or without it.
  void change(const std::string& field, const nlohmann::json& value) {
    auto fields = project().fields(path()).value();
    if (value.is_null()) {
      fields.erase(field);
    } else {
      fields[field] = value;
    }
    project().write(path(), fields);
  }
};

TEST_F(Step5FirestoreRecord, HasTypedFields) {
  const auto fields = project().fields(path()).value();
  EXPECT_EQ(fields.at("username"), (nlohmann::json{{"stringValue", "alice"}}));
  EXPECT_EQ(fields.at("visits"), (nlohmann::json{{"integerValue", "1"}}));
  EXPECT_TRUE(fields.at("expireAt").contains("timestampValue"));
}

TEST_F(Step5FirestoreRecord, ForeignFieldsStay) {
  change("ForeignField", {{"doubleValue", 1.5}});
  EXPECT_EQ(visits_in(client().get("/")), 2);
  EXPECT_EQ(project().fields(path())->at("ForeignField"), (nlohmann::json{{"doubleValue", 1.5}}));
}

TEST_F(Step5FirestoreRecord, WithoutUsernameIsNoSession) {
  change("username", nullptr);
  expect_no_session_and_a_log_line();
}

TEST_F(Step5FirestoreRecord, WithoutExpiryIsNoSession) {
  change("expireAt", nullptr);
  expect_no_session_and_a_log_line();
}

TEST_F(Step5FirestoreRecord, WithExpiryThatIsNoTimeIsNoSession) {
  change("expireAt", {{"stringValue", "tomorrow"}});
  expect_no_session_and_a_log_line();
}

TEST_F(Step5FirestoreRecord, WithVisitsThatAreNoNumberIsNoSession) {
  change("visits", {{"mapValue", nlohmann::json::object()}});
  expect_no_session_and_a_log_line();
}

TEST_F(Step5FirestoreRecord, ThatHasExpiredIsNoSessionThoughItIsThere) {
  change("expireAt", {{"timestampValue", "2020-01-01T00:00:00Z"}});
  EXPECT_TRUE(client().get("/").contains(kAnonymous));
}

TEST_F(Step5FirestoreRecord, PastItsLifetimeIsNoSessionThoughItsExpiryIsLater) {
  change("createdAt", {{"timestampValue", "2020-01-01T00:00:00Z"}});
  const auto page = log_in(server().url())->get("/sessions").body;
  EXPECT_EQ(page.find("<li>"), page.rfind("<li>")) << page;
  EXPECT_TRUE(client().get("/").contains(kAnonymous));
}

TEST_F(Step5FirestoreRecord, ThatHasExpiredIsPurgedByAServerThatStarts) {
  change("expireAt", {{"timestampValue", "2020-01-01T00:00:00Z"}});
  const ServerProcess another{kStep, world().environment()};
  EXPECT_TRUE(wait_until([&] { return project().ids("sessions").empty(); }, seconds{40}));
}

/// With an emulator of its own, which it stops.
class Step5FirestoreOutage : public testing::Test {
 protected:
  void SetUp() override { StoreUnderTest::skip_unless_installed(StoreKind::kFirestore); }
};

TEST_F(Step5FirestoreOutage, StoppedFirestoreIs503UntilItIsBack) {
  FirestoreEmulator emulator;
  auto environment = FirestoreProject{emulator}.environment();
  environment["SESSION_STORE"] = "firestore:";
  const ServerProcess server{kStep, environment};
  HttpClient client{server.url()};
  client.keep_cookies();
  logged_in_cookie(client, "alice");
  emulator.stop();
  EXPECT_EQ(client.get("/").status, 503);
  EXPECT_TRUE(HttpClient{server.url()}.get("/").contains(kAnonymous));
  emulator.start();
  EXPECT_TRUE(wait_until([&] { return client.get("/").contains(kAnonymous); }, seconds{20}));
  logged_in_cookie(client, "alice");
  EXPECT_EQ(visits_in(client.get("/")), 1);
}

/// A visit that is under way while the user logs out on another server. HoldProxy is the network
/// between the first server and the store.
class Step5SlowRequest : public testing::Test {
 protected:
  static void expect_logout_is_final(const StoreUnderTest& world, int store_port,
                                     const std::string& setting, const std::string& before_port) {
    HoldProxy network{store_port};
    auto environment = world.environment();
    environment[setting] = before_port + std::to_string(network.port());
    ServerProcess slow{kStep, environment};
    ServerProcess fast{kStep, world.environment()};
    HttpClient browser{fast.url()};
    const auto cookie = cookie_header("session", logged_in_cookie(browser, "alice"));
    EXPECT_EQ(visits_in(HttpClient{slow.url()}.get("/", {cookie})), 1);

    network.hold();
    auto visit =
        std::async(std::launch::async, [&] { return HttpClient{slow.url()}.get("/", {cookie}); });
    ASSERT_TRUE(wait_until([&] { return network.holds_bytes(); }));
    EXPECT_EQ(browser.get("/logout", {cookie}).status, 302);
    network.release();
    EXPECT_THAT(visit.get().body, HasSubstr(kAnonymous));
    EXPECT_TRUE(browser.get("/", {cookie}).contains(kAnonymous));
  }
};

TEST_F(Step5SlowRequest, DoesNotBringBackALoggedOutSessionInRedis) {
  StoreUnderTest::skip_unless_installed(StoreKind::kRedis);
  if (IsSkipped()) {
    return;
  }
  const StoreUnderTest world{StoreKind::kRedis};
  expect_logout_is_final(world, world.redis()->port(), "SESSION_STORE", "redis://127.0.0.1:");
  EXPECT_EQ(world.redis()->command({"DBSIZE"}), "0");
}

TEST_F(Step5SlowRequest, DoesNotBringBackALoggedOutSessionInFirestore) {
  StoreUnderTest::skip_unless_installed(StoreKind::kFirestore);
  if (IsSkipped()) {
    return;
  }
  const StoreUnderTest world{StoreKind::kFirestore};
  const auto host = world.emulator()->host();
  expect_logout_is_final(world, std::stoi(host.substr(host.find(':') + 1)),
                         "FIRESTORE_EMULATOR_HOST", "127.0.0.1:");
  EXPECT_THAT(world.project()->ids("sessions"), IsEmpty());
}

}  // namespace
}  // namespace sessions::test

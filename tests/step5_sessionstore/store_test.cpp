// What every SessionStore promises, tried on all three.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <future>
#include <numeric>
#include <sstream>

#include "session.hpp"
#include "store_under_test.hpp"
#include "wait_until.hpp"

namespace sessions::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::Optional;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr SessionLimits kLong{.idle = seconds{60}, .absolute = seconds{600}};

MATCHER_P(HasToken, token, "") { return arg.token == token; }

class Step5SessionStore : public testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    StoreUnderTest::skip_unless_installed(GetParam());
    if (!IsSkipped()) {
      world_ = std::make_unique<StoreUnderTest>(GetParam());
      use(kLong);
    }
  }

  /// Goes on with a store of these limits. Memory forgets, the others do not.
  void use(SessionLimits limits, const std::vector<std::string>& secrets = kTestSecrets) {
    store_.reset();
    store_ = world_->make(event_loop_, limits, secrets);
  }

  SessionStore& store() { return *store_; }
  template <typename Result>
  Result wait(asio::awaitable<Result> coroutine) {
    return event_loop_.wait_for(std::move(coroutine));
  }
  template <typename Result>
  std::future<Result> start(asio::awaitable<Result> coroutine) {
    return asio::co_spawn(event_loop_.context(), std::move(coroutine), asio::use_future);
  }

  /// As an optional, because co_spawn() makes an empty result for the case of an exception.
  asio::awaitable<std::optional<SessionToken>> created(std::string username) {
    co_return co_await store().create(std::move(username));
  }
  SessionToken create(const std::string& username) { return wait(created(username)).value(); }
  /// The same when the clocks of all stores show another time than before.
  SessionToken create_later(const std::string& username) {
    std::this_thread::sleep_for(milliseconds{2});
    return create(username);
  }
  std::optional<SessionFields> read(SessionToken token) { return wait(store().read(token)); }
  std::optional<SessionFields> set(SessionToken token, const std::string& field,
                                   const std::string& value) {
    return wait(store().set(token, field, value));
  }
  std::optional<SessionFields> increment(SessionToken token, const std::string& field,
                                         std::int64_t by = 1) {
    return wait(store().increment(token, field, by));
  }
  /// Listing does not renew a session, so it can watch one expire.
  std::vector<SessionSummary> list(const std::string& username) {
    auto list = wait(store().list(username));
    EXPECT_EQ(list.newest.size(), std::min(list.count, SessionList::kMaxNewest));
    return std::move(list.newest);
  }
  std::size_t count(const std::string& username) { return wait(store().list(username)).count; }

 private:
  std::unique_ptr<StoreUnderTest> world_;
  EventLoop event_loop_;
  std::unique_ptr<SessionStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Stores, Step5SessionStore,
                         testing::Values(StoreKind::kMemory, StoreKind::kRedis,
                                         StoreKind::kFirestore),
                         [](const auto& test) { return name_of(test.param); });

/// What another server, or this one after a restart, finds.
class Step5LastingStore : public Step5SessionStore {};

INSTANTIATE_TEST_SUITE_P(Stores, Step5LastingStore,
                         testing::Values(StoreKind::kRedis, StoreKind::kFirestore),
                         [](const auto& test) { return name_of(test.param); });

/// Collects what is logged.
class LogCapture {
 public:
  LogCapture() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(stream_)));
  }
  ~LogCapture() { spdlog::set_default_logger(previous_); }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  std::string text() const { return stream_.str(); }

 private:
  std::ostringstream stream_;
  std::shared_ptr<spdlog::logger> previous_ = spdlog::default_logger();
};

TEST_P(Step5SessionStore, NewSessionHoldsItsUsernameAndNothingElse) {
  const auto token = create("alice");
  EXPECT_THAT(read(token), Optional(ElementsAre(Pair("username", "alice"))));
}

TEST_P(Step5SessionStore, EveryAccessAnswersWithAllFields) {
  const auto token = create("alice");
  EXPECT_THAT(set(token, "colour", "green"),
              Optional(ElementsAre(Pair("colour", "green"), Pair("username", "alice"))));
  EXPECT_THAT(increment(token, "visits"),
              Optional(ElementsAre(Pair("colour", "green"), Pair("username", "alice"),
                                   Pair("visits", "1"))));
  const auto incremented = increment(token, "visits", -5);
  EXPECT_THAT(incremented, Optional(Contains(Pair("visits", "-4"))));
  EXPECT_EQ(incremented, read(token));
}

TEST_P(Step5SessionStore, ValuesComeBackAsTheyWereSet) {
  const auto token = create("alice");
  for (const std::string value :
       {"", " ", "line\r\nbreak", "\"quoted\" \\ {}", "Zoë 名前 🦊", "-0", "1e3", "true"}) {
    set(token, "value", value);
    EXPECT_THAT(read(token), Optional(Contains(Pair("value", value))));
  }
}

TEST_P(Step5SessionStore, UnknownTokenIsNoSessionAndBecomesNone) {
  const auto token = SessionToken::random(tag_of("alice"));
  EXPECT_EQ(set(token, "colour", "green"), std::nullopt);
  EXPECT_EQ(increment(token, "visits"), std::nullopt);
  EXPECT_EQ(read(token), std::nullopt);
  EXPECT_THAT(list("alice"), IsEmpty());
}

TEST_P(Step5SessionStore, DestroyedSessionIsNotBroughtBack) {
  const auto token = create("alice");
  wait(store().destroy(token));
  EXPECT_EQ(set(token, "colour", "green"), std::nullopt);
  EXPECT_EQ(increment(token, "visits"), std::nullopt);
  EXPECT_EQ(read(token), std::nullopt);
  EXPECT_THAT(list("alice"), IsEmpty());
  wait(store().destroy(token));
}

TEST_P(Step5SessionStore, ExpiresWhenIdleAndIsNotBroughtBack) {
  use({.idle = milliseconds{700}, .absolute = seconds{600}});
  const auto before = Clock::now();
  const auto token = create("alice");
  const auto created = Clock::now();
  ASSERT_TRUE(wait_until([&] { return list("alice").empty(); }));
  EXPECT_GE(Clock::now() - before, milliseconds{700});
  EXPECT_LT(Clock::now() - created, milliseconds{700} + seconds{1} * kSlowdown);
  EXPECT_EQ(increment(token, "visits"), std::nullopt);
  EXPECT_EQ(set(token, "colour", "green"), std::nullopt);
  EXPECT_EQ(read(token), std::nullopt);
}

TEST_P(Step5SessionStore, EveryKindOfAccessRenewsTheIdleTimeout) {
  const milliseconds idle = milliseconds{2000} * kSlowdown;
  use({.idle = idle, .absolute = seconds{600}});
  const auto token = create("alice");
  const auto keep_alive = [&](const auto& access) {
    const auto end = Clock::now() + 2 * idle;
    while (Clock::now() < end) {
      ASSERT_TRUE(access());
      std::this_thread::sleep_for(idle / 4);
    }
  };
  keep_alive([&] { return read(token).has_value(); });
  keep_alive([&] { return set(token, "colour", "green").has_value(); });
  keep_alive([&] { return increment(token, "visits").has_value(); });
  EXPECT_THAT(list("alice"), SizeIs(1));
}

TEST_P(Step5SessionStore, AbsoluteLifetimeEndsAnActiveSession) {
  use({.idle = seconds{60}, .absolute = milliseconds{1200}});
  const auto before = Clock::now();
  const auto token = create("alice");
  ASSERT_TRUE(wait_until([&] { return !increment(token, "visits"); }));
  EXPECT_GE(Clock::now() - before, milliseconds{1200});
  EXPECT_LT(Clock::now() - before, milliseconds{1200} + seconds{2} * kSlowdown);
  EXPECT_THAT(list("alice"), IsEmpty());
}

TEST_P(Step5SessionStore, HundredParallelIncrementsLoseNone) {
  const auto token = create("alice");
  std::vector<std::future<std::optional<SessionFields>>> increments;
  for (int i = 0; i < 100; ++i) {
    increments.push_back(start(store().increment(token, "visits", 1)));
  }
  std::vector<int> values;
  for (auto& increment : increments) {
    values.push_back(std::stoi(increment.get().value().at("visits")));
  }
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_THAT(values, testing::UnorderedElementsAreArray(expected));
}

TEST_P(Step5SessionStore, TwoFieldsChangedInParallelBothKeepTheirChange) {
  const auto token = create("alice");
  for (int round = 0; round < 20; ++round) {
    const auto value = std::to_string(round);
    auto first = start(store().set(token, "first", value));
    auto second = start(store().set(token, "second", value));
    auto third = start(store().increment(token, "third", 1));
    first.get();
    second.get();
    third.get();
    EXPECT_THAT(read(token), Optional(ElementsAre(Pair("first", value), Pair("second", value),
                                                  Pair("third", std::to_string(round + 1)),
                                                  Pair("username", "alice"))));
  }
}

TEST_P(Step5SessionStore, LogoutDuringWritesIsFinal) {
  for (int round = 0; round < 20; ++round) {
    const auto token = create("alice");
    std::vector<std::future<std::optional<SessionFields>>> writes;
    std::future<void> destroyed;
    for (int i = 0; i < 10; ++i) {
      if (i == 5) {
        destroyed = start(store().destroy(token));
      }
      writes.push_back(start(store().increment(token, "visits", 1)));
      writes.push_back(start(store().set(token, "colour", "green")));
    }
    destroyed.get();
    for (auto& write : writes) {
      write.get();
    }
    EXPECT_EQ(read(token), std::nullopt);
    EXPECT_THAT(list("alice"), IsEmpty());
  }
}

TEST_P(Step5SessionStore, ListShowsTheUsersOwnSessionsWithTheirTimes) {
  const auto before = std::chrono::system_clock::now() - seconds{2};
  const auto first = create("alice");
  const auto second = create("alice");
  const auto other = create("bob");
  const auto sessions = list("alice");
  EXPECT_THAT(sessions, UnorderedElementsAre(HasToken(first), HasToken(second)));
  const auto after = std::chrono::system_clock::now() + seconds{2};
  for (const auto& session : sessions) {
    EXPECT_GE(session.created, before);
    EXPECT_GE(session.last_seen, session.created);
    EXPECT_LE(session.last_seen, after);
  }
  EXPECT_THAT(list("bob"), ElementsAre(HasToken(other)));
  EXPECT_THAT(list("carol"), IsEmpty());
}

TEST_P(Step5SessionStore, LastSeenFollowsTheAccesses) {
  const auto token = create("alice");
  ASSERT_TRUE(wait_until([&] {
    increment(token, "visits");
    const auto session = list("alice").at(0);
    return session.last_seen - session.created >= milliseconds{1500};
  }));
}

TEST_P(Step5SessionStore, SessionsExpireFromTheListOneByOne) {
  use({.idle = milliseconds{2500} * kSlowdown, .absolute = seconds{600}});
  const auto forgotten = create("alice");
  const auto used = create("alice");
  EXPECT_THAT(list("alice"), UnorderedElementsAre(HasToken(forgotten), HasToken(used)));
  ASSERT_TRUE(wait_until([&] {
    read(used);
    return list("alice").size() == 1;
  }));
  EXPECT_THAT(list("alice"), ElementsAre(HasToken(used)));
}

TEST_P(Step5SessionStore, DestroyAllEndsTheUsersSessionsAndNobodyElses) {
  const auto first = create("alice");
  const auto second = create("alice");
  const auto other = create("bob");
  wait(store().destroy_all("alice"));
  EXPECT_EQ(increment(first, "visits"), std::nullopt);
  EXPECT_EQ(increment(second, "visits"), std::nullopt);
  EXPECT_THAT(list("alice"), IsEmpty());
  EXPECT_TRUE(read(other));
  wait(store().destroy_all("nobody"));
}

TEST_P(Step5SessionStore, UserNamesAreNotPatternsOrPaths) {
  const std::vector<std::string> names{
      "*", "?", "a/b", "..", "__x__", "' or 1 = 1", "[a]", "zoë", "sessions-of:alice", "\\", "{a}"};
  for (const auto& name : names) {
    create(name);
  }
  const auto alice = create("alice");
  for (const auto& name : names) {
    EXPECT_THAT(list(name), SizeIs(1)) << name;
    wait(store().destroy_all(name));
    EXPECT_THAT(list(name), IsEmpty()) << name;
  }
  EXPECT_THAT(list("alice"), ElementsAre(HasToken(alice)));
}

TEST_P(Step5SessionStore, WhoseSessionItIsNeverChanges) {
  const auto token = create("alice");
  EXPECT_THROW(set(token, "username", "bob"), std::invalid_argument);
  EXPECT_THROW(increment(token, "username"), std::invalid_argument);
  EXPECT_THAT(read(token), Optional(ElementsAre(Pair("username", "alice"))));
  EXPECT_THAT(list("alice"), ElementsAre(HasToken(token)));
  EXPECT_THAT(list("bob"), IsEmpty());
}

TEST_P(Step5SessionStore, OneLoginMoreThanAllowedEndsTheOldestSession) {
  use({.idle = seconds{60}, .absolute = seconds{600}, .per_user = 2});
  const auto other = create("bob");
  const auto first = create("alice");
  const auto second = create_later("alice");
  const auto third = create_later("alice");
  EXPECT_EQ(read(first), std::nullopt);
  EXPECT_TRUE(read(second));
  EXPECT_TRUE(read(third));
  EXPECT_EQ(count("alice"), 2U);
  EXPECT_TRUE(read(other));
}

TEST_P(Step5SessionStore, ListShowsTheHundredThatWereUsedLast) {
  const auto first = create("alice");
  const auto second = create_later("alice");
  for (int i = 0; i < 99; ++i) {
    create_later("alice");
  }
  EXPECT_EQ(count("alice"), 101U);
  const auto without_first = list("alice");
  EXPECT_THAT(without_first, SizeIs(100));
  EXPECT_THAT(without_first, Not(Contains(HasToken(first))));
  read(first);
  EXPECT_THAT(list("alice"), Contains(HasToken(first)));
  EXPECT_THAT(list("alice"), Not(Contains(HasToken(second))));
}

TEST_P(Step5SessionStore, ThousandSessionsAreCreatedListedAndDestroyed) {
  std::vector<std::future<std::optional<SessionToken>>> creations;
  creations.reserve(1000);
  for (int i = 0; i < 1000; ++i) {
    creations.push_back(start(created("alice")));
    if (creations.size() % 50 == 0) {  // as many at once as a busy server has requests
      creations.back().wait();
    }
  }
  std::vector<SessionToken> tokens;
  for (auto& creation : creations) {
    tokens.push_back(creation.get().value());
  }
  EXPECT_EQ(count("alice"), 1000U);
  EXPECT_THAT(list("alice"), SizeIs(100));
  for (std::size_t i = 0; i < 10; ++i) {
    wait(store().destroy(tokens[i]));
  }
  EXPECT_EQ(count("alice"), 990U);
  wait(store().destroy_all("alice"));
  EXPECT_THAT(list("alice"), IsEmpty());
  EXPECT_EQ(read(tokens.back()), std::nullopt);
}

TEST_P(Step5LastingStore, ServerWithAShorterIdleTimeoutLosesNoSession) {
  use({.idle = seconds{3600}, .absolute = seconds{7200}});
  const auto first = create("alice");
  std::this_thread::sleep_for(milliseconds{1200});
  use({.idle = milliseconds{1}, .absolute = seconds{600}});
  create("alice");
  EXPECT_TRUE(wait_until([&] { return count("alice") == 1; }));
  EXPECT_THAT(list("alice"), ElementsAre(HasToken(first)));
  wait(store().destroy_all("alice"));
  use(kLong);
  EXPECT_EQ(read(first), std::nullopt);
}

TEST_P(Step5LastingStore, SessionsFromBeforeTheKeyWasChangedAreListedAndEnded) {
  const auto before = create("alice");
  const auto other = create("bob");
  use(kLong, {std::string(32, 'n'), kTestSecrets.front()});
  const auto after = create("alice");
  EXPECT_TRUE(read(before));
  EXPECT_EQ(count("alice"), 2U);
  EXPECT_THAT(list("alice"), UnorderedElementsAre(HasToken(before), HasToken(after)));
  wait(store().destroy_all("alice"));
  EXPECT_EQ(read(before), std::nullopt);
  EXPECT_EQ(read(after), std::nullopt);
  EXPECT_EQ(count("alice"), 0U);
  EXPECT_TRUE(read(other));
}

TEST_P(Step5SessionStore, WhatCannotBeIncrementedIsNoSessionAndIsLogged) {
  const LogCapture log;
  const auto token = create("alice");
  for (const std::string value : {"many", "", "1.5", "007", " 1", "9223372036854775807"}) {
    set(token, "visits", value);
    EXPECT_EQ(increment(token, "visits"), std::nullopt) << value;
    EXPECT_THAT(read(token), Optional(Contains(Pair("visits", value))));
  }
  EXPECT_THAT(log.text(), testing::HasSubstr(token.abbreviated()));
  EXPECT_THAT(log.text(), Not(testing::HasSubstr(std::string{token.text()})));
}

TEST_P(Step5SessionStore, FieldNamesAreLowerSnakeCase) {
  const auto token = create("alice");
  for (const std::string name :
       {"", "createdAt", "expireAt", "seenAt", "a b", "a.b", "1st", "größe", "`", "__x__", "_"}) {
    EXPECT_THROW(set(token, name, "value"), std::invalid_argument) << name;
    EXPECT_THROW(increment(token, name), std::invalid_argument) << name;
  }
  EXPECT_THAT(read(token), Optional(ElementsAre(Pair("username", "alice"))));
}

TEST_P(Step5SessionStore, PurgeLeavesLiveSessionsAlone) {
  use({.idle = milliseconds{2000} * kSlowdown, .absolute = seconds{600}});
  const auto live = create("alice");
  create("bob");
  ASSERT_TRUE(wait_until([&] {
    read(live);
    return list("bob").empty();
  }));
  wait(store().purge());
  EXPECT_TRUE(read(live));
}

TEST_P(Step5SessionStore, AnswersPing) { EXPECT_NO_THROW(wait(store().ping())); }

TEST_P(Step5SessionStore, SessionReadsLikeADictionary) {
  Session session{store(), std::nullopt};
  wait(session.log_in("alice"));
  EXPECT_TRUE(wait(session.set("colour", "green")));
  EXPECT_THAT(wait(session.increment("visits")), Optional(1));
  EXPECT_THAT(wait(session.increment("visits", 2)), Optional(3));
  EXPECT_EQ(session["username"], "alice");
  EXPECT_EQ(session["colour"], "green");
  EXPECT_EQ(session["absent"], "");
  EXPECT_THAT(wait(session.get("colour")), Optional(std::string{"green"}));
  EXPECT_EQ(wait(session.get("absent")), std::nullopt);
}

TEST_P(Step5SessionStore, LoginRenewsTheTokenAndDestroysTheOldSession) {
  Session session{store(), create("alice")};
  const auto old_token = *session.token();
  wait(session.log_in("bob"));
  EXPECT_NE(*session.token(), old_token);
  EXPECT_EQ(read(old_token), std::nullopt);
  EXPECT_THAT(list("alice"), IsEmpty());
  EXPECT_THAT(wait(session.get("username")), Optional(std::string{"bob"}));
}

TEST_P(Step5SessionStore, LoggedOutSessionIsOver) {
  Session session{store(), create("alice")};
  Session copy{store(), session.token()};
  wait(session.log_out());
  EXPECT_EQ(wait(copy.get("username")), std::nullopt);
  EXPECT_EQ(wait(copy.increment("visits")), std::nullopt);
  EXPECT_FALSE(wait(copy.set("colour", "green")));
  EXPECT_EQ(copy["username"], "");
}

TEST(Step5SessionToken, IsRandomAndOfOneForm) {
  const auto tag = tag_of("alice");
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto token = SessionToken::random(tag);
    const std::string text{token.text()};
    EXPECT_THAT(text, testing::MatchesRegex("[A-Za-z0-9_-]{11}[.][A-Za-z0-9_-]{22}"));
    EXPECT_EQ(token.tag(), tag);
    EXPECT_EQ(text, fmt::format("{}.{}", token.tag(), token.secret()));
    EXPECT_EQ(SessionToken::parse(text), token);
    EXPECT_TRUE(seen.insert(text).second);
  }
}

TEST(Step5SessionToken, AcceptsNoOtherForm) {
  const auto good = std::string(11, '-') + "." + std::string(22, '_');
  EXPECT_TRUE(SessionToken::parse(good));
  for (const std::string& bad :
       {std::string{}, good + "a", good.substr(1), std::string(34, 'a'), std::string(34, '.'),
        "../" + good.substr(3), std::string(34, '\0'), good.substr(0, 33) + "\n",
        good.substr(0, 33) + "=", std::string(12, 'a') + "." + std::string(21, 'a')}) {
    EXPECT_EQ(SessionToken::parse(bad), std::nullopt) << bad;
  }
}

TEST(Step5UserTag, SaysNothingWithoutTheKey) {
  const SigningKey key{std::string(32, 'n')};
  EXPECT_EQ(user_tag(key, "alice"), user_tag(key, "alice"));
  EXPECT_NE(user_tag(key, "alice"), user_tag(key, "bob"));
  EXPECT_NE(user_tag(key, "alice"), user_tag(SigningKey{std::string(32, 'o')}, "alice"));
}

/// A store that must not be asked.
class ForbiddenStore : public SessionStore {
 public:
  asio::awaitable<SessionToken> create(std::string /*username*/) override {
    return refuse<SessionToken>();
  }
  asio::awaitable<void> destroy(SessionToken /*token*/) override { return refuse<void>(); }
  asio::awaitable<SessionList> list(std::string /*username*/) override {
    return refuse<SessionList>();
  }
  asio::awaitable<void> destroy_all(std::string /*username*/) override { return refuse<void>(); }

 private:
  asio::awaitable<std::optional<SessionFields>> access(
      SessionToken /*token*/, std::optional<SessionChange> /*change*/) override {
    return refuse<std::optional<SessionFields>>();
  }
  template <typename Result>
  static asio::awaitable<Result> refuse() {
    throw std::logic_error{"the store was asked"};
  }
};

TEST(Step5Session, WithoutATokenTheStoreIsNotAsked) {
  EventLoop event_loop;
  ForbiddenStore store;
  Session session{store, std::nullopt};
  EXPECT_EQ(event_loop.wait_for(session.get("username")), std::nullopt);
  EXPECT_FALSE(event_loop.wait_for(session.set("colour", "green")));
  EXPECT_EQ(event_loop.wait_for(session.increment("visits")), std::nullopt);
  event_loop.wait_for(session.log_out());
}

}  // namespace
}  // namespace sessions::test

// Step 4 over HTTP: the greeting and the counter. And its settings.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "firestore_emulator.hpp"
#include "greeting_page.hpp"
#include "http_client.hpp"
#include "rule.hpp"
#include "server_process.hpp"

namespace sessions::test {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;

/// Black box: the server under test, or one that SESSIONS_URL names.
class Step4Contract : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto running = url_of_running_server()) {
      url_ = *running;
      return;
    }
    if (!FirestoreEmulator::is_installed()) {
      return skip_for_lack_of("The Firestore emulator");
    }
    project_.emplace(FirestoreEmulator::shared());
    server_.emplace("step4_firestore", project_->environment());
    url_ = server_->url();
  }

  std::optional<FirestoreProject> project_;
  std::optional<ServerProcess> server_;
  std::string url_;
};

TEST_F(Step4Contract, GreetsANewVisitorInOneOfFiveGreetings) {
  const Rule rule{"greeting.page"};
  const auto response = HttpClient{url_}.get("/");
  const auto first = read_visit(response);
  EXPECT_EQ(first.views, 1);
  EXPECT_THAT(kGreetings, Contains(first.greeting));
  EXPECT_THAT(first.id, MatchesRegex(kUuid));
  EXPECT_EQ(response.header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(response.header("Cache-Control"), "no-store");
}

TEST_F(Step4Contract, TheCookieIsForThisServerOnlyAndNotForScripts) {
  const auto response = HttpClient{url_}.get("/");
  const auto lines = response.all_headers("Set-Cookie");
  ASSERT_EQ(lines.size(), 1U);
  {
    const Rule rule{"greeting.http-only"};
    EXPECT_THAT(lines.front(), HasSubstr("; HttpOnly"));
  }
  const Rule rule{"greeting.cookie-scope"};
  EXPECT_THAT(lines.front(), HasSubstr("; SameSite=Lax"));
  EXPECT_THAT(lines.front(), HasSubstr("; Path=/"));
}

TEST_F(Step4Contract, AReturningVisitorIsGreetedAlikeAndCounted) {
  const Rule rule{"greeting.kept"};
  const auto first = visit(url_);
  for (std::int64_t views = 2; views <= 5; ++views) {
    const auto again = visit(url_, first.id);
    EXPECT_EQ(again.views, views);
    EXPECT_EQ(again.greeting, first.greeting);
    EXPECT_EQ(again.id, first.id);
  }
}

TEST_F(Step4Contract, VisitorsAreCountedEachForThemselves) {
  const Rule rule{"greeting.visitors-apart"};
  const auto alice = visit(url_);
  const auto bob = visit(url_);
  EXPECT_NE(alice.id, bob.id);
  EXPECT_EQ(visit(url_, alice.id).views, 2);
  EXPECT_EQ(visit(url_, alice.id).views, 3);
  EXPECT_EQ(visit(url_, bob.id).views, 2);
}

TEST_F(Step4Contract, AllFiveGreetingsAreSeenOverManyVisitors) {
  const Rule rule{"greeting.random"};
  std::set<std::string> seen;
  HttpClient client{url_};
  for (int visitors = 0; visitors < 200 && seen.size() < kGreetings.size(); ++visitors) {
    seen.insert(read_visit(client.get("/")).greeting);
  }
  EXPECT_THAT(seen, testing::UnorderedElementsAreArray(kGreetings));
}

TEST_F(Step4Contract, HeadCountsAsAVisitAndHasNoBody) {
  const Rule rule{"greeting.http"};
  const auto first = visit(url_);
  const auto head = HttpClient{url_}.request("HEAD", "/", {cookie_header("session_id", first.id)});
  EXPECT_EQ(head.status, 200);
  EXPECT_THAT(head.body, IsEmpty());
  EXPECT_EQ(visit(url_, first.id).views, 3);
}

TEST_F(Step4Contract, AnswersUnknownPathsAndWrongMethodsLikeTheOtherSteps) {
  const Rule rule{"greeting.http"};
  HttpClient client{url_};
  EXPECT_EQ(client.get("/login").status, 404);
  const auto refused = client.post("/", "a=b");
  EXPECT_EQ(refused.status, 405);
  EXPECT_THAT(refused.header("Allow").value_or(""), HasSubstr("GET"));
  const auto options = client.request("OPTIONS", "/");
  EXPECT_THAT(options.status, AnyOf(200, 204));
  EXPECT_FALSE(options.cookie("session_id"));
}

TEST_F(Step4Contract, AHostileIdIsAnsweredWithANewOne) {
  const Rule rule{"greeting.own-id"};
  for (const auto& id : hostile_ids()) {
    const auto answer = visit(url_, id);
    EXPECT_EQ(answer.views, 1) << id;
    EXPECT_NE(answer.id, id);
    EXPECT_THAT(answer.id, MatchesRegex(kUuid)) << id;
    EXPECT_EQ(visit(url_, answer.id).views, 2) << id;
  }
}

TEST_F(Step4Contract, FiftyParallelVisitsWithOneCookieCountExactlyFifty) {
  const Rule rule{"greeting.atomic"};
  const auto first = visit(url_);
  std::vector<std::future<Visit>> visits;
  for (int number = 0; number < 50; ++number) {
    visits.push_back(std::async(std::launch::async, [&] { return visit(url_, first.id); }));
  }
  std::set<std::int64_t> counted;
  for (auto& one : visits) {
    counted.insert(one.get().views);
  }
  EXPECT_EQ(counted.size(), 50U);
  EXPECT_EQ(*counted.begin(), 2);
  EXPECT_EQ(*counted.rbegin(), 51);
  EXPECT_EQ(visit(url_, first.id).views, 52);
}

TEST_F(Step4Contract, SixtyFourSessionsAreCountedSideBySide) {
  const Rule rule{"greeting.visitors-apart"};
  std::vector<std::future<std::vector<std::int64_t>>> visitors;
  for (int number = 0; number < 64; ++number) {
    visitors.push_back(std::async(std::launch::async, [&] {
      HttpClient client{url_};
      client.keep_cookies();
      std::vector<std::int64_t> counted;
      for (int repetition = 0; repetition < 4; ++repetition) {
        counted.push_back(read_visit(client.get("/")).views);
      }
      return counted;
    }));
  }
  for (auto& visitor : visitors) {
    EXPECT_THAT(visitor.get(), ElementsAre(1, 2, 3, 4));
  }
}

/// What the program says when it is set up wrongly; needs no emulator.
TEST(Step4Settings, CheckSaysWhatToTryIfNobodyAnswers) {
  const auto ran =
      run({program_of("step4_firestore"), "--check"}, {{"FIRESTORE_EMULATOR_HOST", "127.0.0.1:1"}});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.standard_error, HasSubstr("127.0.0.1:1"));
  EXPECT_THAT(ran.standard_error, HasSubstr("FIRESTORE_EMULATOR_HOST"));
}

TEST(Step4Settings, WithoutEmulatorAndCredentialsItSaysWhatToSetAndExitsWith2) {
  const TemporaryFolder home;
  const auto ran = run({program_of("step4_firestore"), "--port", "0"},
                       {{"HOME", home.path()}, {"GCE_METADATA_HOST", "127.0.0.1:1"}});
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(std::ranges::count(ran.standard_error, '\n'), 1) << ran.standard_error;
  EXPECT_THAT(ran.standard_error, HasSubstr("FIRESTORE_EMULATOR_HOST"));
  EXPECT_THAT(ran.standard_error, HasSubstr("gcloud emulators firestore start"));
  EXPECT_THAT(ran.standard_error, HasSubstr("GOOGLE_APPLICATION_CREDENTIALS"));
}

TEST(Step4Settings, ASettingThatCannotBeUsedIsNamed) {
  const std::vector<std::pair<std::string, Environment>> wrong{
      {"FIRESTORE_EMULATOR_HOST", {{"FIRESTORE_EMULATOR_HOST", "http://127.0.0.1:8085"}}},
      {"FIRESTORE_EMULATOR_HOST", {{"FIRESTORE_EMULATOR_HOST", "nonsense"}}},
      {"FIRESTORE_EMULATOR_HOST", {{"FIRESTORE_EMULATOR_HOST", "127.0.0.1:"}}},
      {"FIRESTORE_EMULATOR_HOST", {{"FIRESTORE_EMULATOR_HOST", "127.0.0.1:0"}}},
      {"FIRESTORE_EMULATOR_HOST", {{"FIRESTORE_EMULATOR_HOST", "127.0.0.1:99999"}}},
      {"FIRESTORE_EMULATOR_HOST", {{"FIRESTORE_EMULATOR_HOST", ":8085"}}},
      {"GOOGLE_CLOUD_PROJECT",
       {{"FIRESTORE_EMULATOR_HOST", "127.0.0.1:1"}, {"GOOGLE_CLOUD_PROJECT", "a/b"}}},
      {"GOOGLE_APPLICATION_CREDENTIALS", {{"GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file"}}},
      {"COOKIE_SECURE", {{"FIRESTORE_EMULATOR_HOST", "127.0.0.1:1"}, {"COOKIE_SECURE", "yes"}}}};
  for (const auto& [name, environment] : wrong) {
    const auto ran = run({program_of("step4_firestore"), "--port", "0"}, environment);
    EXPECT_EQ(ran.exit_code, 2) << name;
    EXPECT_THAT(ran.standard_error, HasSubstr(name + ":"));
  }
}

TEST(Step4Settings, HelpNamesEverySetting) {
  const auto ran = run({program_of("step4_firestore"), "--help"});
  EXPECT_EQ(ran.exit_code, 0);
  for (const auto* name :
       {"--host", "--port", "--threads", "--check", "COOKIE_SECURE", "FIRESTORE_EMULATOR_HOST",
        "GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST", "8080"}) {
    EXPECT_THAT(ran.standard_output, HasSubstr(name));
  }
}

}  // namespace
}  // namespace sessions::test

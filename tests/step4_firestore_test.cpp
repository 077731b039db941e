// Step 4 over HTTP: the greeting, the counter, and what Firestore holds of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "firestore_emulator.hpp"
#include "http_client.hpp"
#include "server_process.hpp"

namespace sessions::test {
namespace {

using nlohmann::json;
using testing::AnyOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;

constexpr std::array kGreetings{"Hello World", "Hallo Welt", "Ciao Mondo", "Salut le Monde",
                                "Hola Mundo"};
constexpr auto kUuid = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

/// What a page says.
struct Visit {
  std::int64_t views = 0;
  std::string greeting;  ///< as in the page, not unescaped
  std::string id;        ///< that the cookie was set to
};

Visit read_visit(const Response& response) {
  static const std::regex sentence{"(-?\\d+) views for \"([^\"]*)\""};
  std::smatch match;
  if (response.status != 200 || !std::regex_search(response.body, match, sentence)) {
    throw std::runtime_error{"not a greeting: " + std::to_string(response.status) + "\n" +
                             response.body};
  }
  return {std::stoll(match[1]), match[2], response.cookie("session_id").value_or("")};
}

Visit visit(const std::string& url, const std::string& id = {}) {
  HttpClient client{url};
  return read_visit(id.empty() ? client.get("/")
                               : client.get("/", {cookie_header("session_id", id)}));
}

std::vector<std::string> hostile_ids() {
  return {"",
          ".",
          "..",
          "__x__",
          "a/b/c",
          "../users/alice",
          "%2e%2e",
          std::string(2000, 'a'),
          "\xff\xfe\x80",
          "2f1c1b1e-9a6b-4c53-8d43-6c0a6f2f6f0a",  // well-formed, but names no document
          "2F1C1B1E-9A6B-4C53-8D43-6C0A6F2F6F0A",  // not how an id is written
          "2f1c1b1e-9a6b-4c53-8d43-6c0a6f2f6f0a/views/1"};
}

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
  EXPECT_THAT(lines.front(), HasSubstr("; HttpOnly"));
  EXPECT_THAT(lines.front(), HasSubstr("; SameSite=Lax"));
  EXPECT_THAT(lines.front(), HasSubstr("; Path=/"));
}

TEST_F(Step4Contract, AReturningVisitorIsGreetedAlikeAndCounted) {
  const auto first = visit(url_);
  for (std::int64_t views = 2; views <= 5; ++views) {
    const auto again = visit(url_, first.id);
    EXPECT_EQ(again.views, views);
    EXPECT_EQ(again.greeting, first.greeting);
    EXPECT_EQ(again.id, first.id);
  }
}

TEST_F(Step4Contract, VisitorsAreCountedEachForThemselves) {
  const auto alice = visit(url_);
  const auto bob = visit(url_);
  EXPECT_NE(alice.id, bob.id);
  EXPECT_EQ(visit(url_, alice.id).views, 2);
  EXPECT_EQ(visit(url_, alice.id).views, 3);
  EXPECT_EQ(visit(url_, bob.id).views, 2);
}

TEST_F(Step4Contract, AllFiveGreetingsAreSeenOverManyVisitors) {
  std::set<std::string> seen;
  HttpClient client{url_};
  for (int visitors = 0; visitors < 200 && seen.size() < kGreetings.size(); ++visitors) {
    seen.insert(read_visit(client.get("/")).greeting);
  }
  EXPECT_THAT(seen, testing::UnorderedElementsAreArray(kGreetings));
}

TEST_F(Step4Contract, HeadCountsAsAVisitAndHasNoBody) {
  const auto first = visit(url_);
  const auto head = HttpClient{url_}.request("HEAD", "/", {cookie_header("session_id", first.id)});
  EXPECT_EQ(head.status, 200);
  EXPECT_THAT(head.body, IsEmpty());
  EXPECT_EQ(visit(url_, first.id).views, 3);
}

TEST_F(Step4Contract, AnswersUnknownPathsAndWrongMethodsLikeTheOtherSteps) {
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
  for (const auto& id : hostile_ids()) {
    const auto answer = visit(url_, id);
    EXPECT_EQ(answer.views, 1) << id;
    EXPECT_NE(answer.id, id);
    EXPECT_THAT(answer.id, MatchesRegex(kUuid)) << id;
    EXPECT_EQ(visit(url_, answer.id).views, 2) << id;
  }
}

TEST_F(Step4Contract, FiftyParallelVisitsWithOneCookieCountExactlyFifty) {
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

/// With a look into Firestore.
class Step4Firestore : public testing::Test {
 protected:
  void SetUp() override {
    if (!FirestoreEmulator::is_installed()) {
      return skip_for_lack_of("The Firestore emulator");
    }
    project_.emplace(FirestoreEmulator::shared());
  }

  FirestoreProject& project() { return *project_; }

 private:
  std::optional<FirestoreProject> project_;
};

/// A timestamp as Firestore shows it, some time from now.
json timestamp(std::chrono::seconds ahead) {
  const auto time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + ahead);
  std::array<char, 32> text{};
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {{"timestampValue", text.data()}};
}

TEST_F(Step4Firestore, TheDocumentHasTheFieldsOfTheContract) {
  ServerProcess server{"step4_firestore", project().environment()};
  const auto first = visit(server.url());
  EXPECT_EQ(visit(server.url(), first.id).views, 2);
  const auto fields = project().fields("sessions/" + first.id).value();
  EXPECT_EQ(fields.size(), 3U) << fields;
  EXPECT_EQ(fields.at("greeting"), (json{{"stringValue", first.greeting}}));
  EXPECT_EQ(fields.at("views"), (json{{"integerValue", "2"}}));
  const auto expires = fields.at("expireAt").at("timestampValue").get<std::string>();
  constexpr std::chrono::days kLifetime{14};
  EXPECT_GT(expires, timestamp(kLifetime - std::chrono::minutes{2}).at("timestampValue"));
  EXPECT_LT(expires, timestamp(kLifetime + std::chrono::minutes{2}).at("timestampValue"));
  EXPECT_THAT(project().collections(), ElementsAre("sessions"));
}

TEST_F(Step4Firestore, OtherFieldsOfTheDocumentAreLeftAlone) {
  ServerProcess server{"step4_firestore", project().environment()};
  const auto first = visit(server.url());
  auto fields = project().fields("sessions/" + first.id).value();
  fields["theme"] = {{"stringValue", "dark"}};
  fields["cart"] = {{"mapValue", {{"fields", {{"apples", {{"integerValue", "3"}}}}}}}};
  project().write("sessions/" + first.id, fields);
  EXPECT_EQ(visit(server.url(), first.id).views, 2);
  const auto after = project().fields("sessions/" + first.id).value();
  EXPECT_EQ(after.at("theme"), fields.at("theme"));
  EXPECT_EQ(after.at("cart"), fields.at("cart"));
  EXPECT_EQ(after.at("views"), (json{{"integerValue", "2"}}));
}

TEST_F(Step4Firestore, HostileIdsReachNoDocument) {
  project().write("users/alice", {{"name", {{"stringValue", "Alice"}}}});
  ServerProcess server{"step4_firestore", project().environment()};
  for (const auto& id : hostile_ids()) {
    visit(server.url(), id);
  }
  EXPECT_THAT(project().collections(), testing::UnorderedElementsAre("sessions", "users"));
  EXPECT_THAT(project().ids("users"), ElementsAre("alice"));
  const auto ids = project().ids("sessions");
  EXPECT_EQ(ids.size(), hostile_ids().size());
  EXPECT_THAT(ids, Each(MatchesRegex(kUuid)));
  EXPECT_THAT(ids, Not(Contains("2f1c1b1e-9a6b-4c53-8d43-6c0a6f2f6f0a")));
}

TEST_F(Step4Firestore, AGreetingFromTheStoreCannotBecomeAScript) {
  ServerProcess server{"step4_firestore", project().environment()};
  const auto first = visit(server.url());
  project().write("sessions/" + first.id,
                  {{"greeting", {{"stringValue", "<script>alert(1)</script>"}}},
                   {"views", {{"integerValue", "6"}}}});
  const auto page = HttpClient{server.url()}.get("/", {cookie_header("session_id", first.id)});
  EXPECT_FALSE(page.contains("<script>"));
  EXPECT_TRUE(page.contains("7 views for \"&lt;script&gt;"));
}

TEST_F(Step4Firestore, ABrokenDocumentIsRepaired) {
  ServerProcess server{"step4_firestore", project().environment()};
  const auto first = visit(server.url());
  const auto path = "sessions/" + first.id;
  const std::vector<json> broken{
      json::object(),
      {{"greeting", {{"integerValue", "3"}}}, {"views", {{"stringValue", "7"}}}},
      {{"views", {{"doubleValue", 7.5}}}, {"expireAt", {{"stringValue", "tomorrow"}}}},
      {{"views", {{"nullValue", nullptr}}}},
      {{"views", {{"integerValue", "-5"}}}},
      {{"views", {{"integerValue", "9223372036854775807"}}}}};
  for (const auto& fields : broken) {
    project().write(path, fields);
    const auto repaired = visit(server.url(), first.id);
    EXPECT_EQ(repaired.views, 1) << fields;
    EXPECT_EQ(repaired.id, first.id) << fields;
    EXPECT_THAT(kGreetings, Contains(repaired.greeting)) << fields;
    EXPECT_EQ(visit(server.url(), first.id).views, 2) << fields;
  }
}

TEST_F(Step4Firestore, ADocumentThatHasExpiredCountsAsAbsent) {
  ServerProcess server{"step4_firestore", project().environment()};
  const auto first = visit(server.url());
  auto fields = project().fields("sessions/" + first.id).value();
  fields["expireAt"] = timestamp(std::chrono::seconds{-2});
  project().write("sessions/" + first.id, fields);
  const auto again = visit(server.url(), first.id);
  EXPECT_NE(again.id, first.id);
  EXPECT_EQ(again.views, 1);
  EXPECT_EQ(project().fields("sessions/" + first.id), fields);
}

TEST_F(Step4Firestore, EveryVisitPutsTheExpiryOff) {
  ServerProcess server{"step4_firestore", project().environment()};
  const auto first = visit(server.url());
  auto fields = project().fields("sessions/" + first.id).value();
  const auto soon = timestamp(std::chrono::minutes{5});
  fields["expireAt"] = soon;
  project().write("sessions/" + first.id, fields);
  EXPECT_EQ(visit(server.url(), first.id).views, 2);
  EXPECT_GT(project().fields("sessions/" + first.id)->at("expireAt").at("timestampValue"),
            soon.at("timestampValue"));
}

TEST_F(Step4Firestore, TwoProcessesOnOneSessionLoseNoView) {
  ServerProcess one{"step4_firestore", project().environment()};
  ServerProcess other{"step4_firestore", project().environment()};
  const auto first = visit(one.url());
  struct Outcome {
    std::vector<std::int64_t> counted;
    int refused = 0;
  };
  const auto visit_four_times = [&](const std::string& url) {
    Outcome outcome;
    HttpClient client{url};
    // A conflict takes the emulator two seconds. A visit that meets several is refused.
    for (int attempt = 0; attempt < 12 && outcome.counted.size() < 4; ++attempt) {
      const auto response = client.get("/", {cookie_header("session_id", first.id)});
      if (response.status == 503) {
        ++outcome.refused;
      } else {
        outcome.counted.push_back(read_visit(response).views);
      }
    }
    return outcome;
  };
  auto of_one = std::async(std::launch::async, visit_four_times, one.url());
  const auto of_other = visit_four_times(other.url());
  auto all = of_one.get();
  all.counted.insert(all.counted.end(), of_other.counted.begin(), of_other.counted.end());
  all.refused += of_other.refused;
  ASSERT_EQ(all.counted.size(), 8U);
  EXPECT_EQ((std::set<std::int64_t>{all.counted.begin(), all.counted.end()}.size()), 8U)
      << "a number was given out twice";
  const auto views = project().fields("sessions/" + first.id)->at("views").at("integerValue");
  const auto stored = std::stoll(views.get<std::string>());
  EXPECT_GE(stored, 9);
  EXPECT_LE(stored, 9 + all.refused);
}

TEST_F(Step4Firestore, SecureCookiesHaveTheHostPrefix) {
  auto environment = project().environment();
  environment["COOKIE_SECURE"] = "1";
  ServerProcess server{"step4_firestore", environment};
  const auto response = HttpClient{server.url()}.get("/");
  const auto id = response.cookie("__Host-session_id");
  ASSERT_TRUE(id);
  EXPECT_THAT(response.header("Set-Cookie").value(), HasSubstr("; Secure"));
  const auto again = HttpClient{server.url()}.get("/", {cookie_header("__Host-session_id", *id)});
  EXPECT_EQ(read_visit(again).views, 2);
}

TEST_F(Step4Firestore, TheLogHoldsNoSessionId) {
  ServerProcess server{"step4_firestore", project().environment()};
  const auto first = visit(server.url());
  project().write("sessions/" + first.id, {{"views", {{"stringValue", "x"}}}});
  visit(server.url(), first.id);
  EXPECT_THAT(server.process().log(), Not(HasSubstr(first.id)));
}

TEST_F(Step4Firestore, CheckNamesTheProjectAndTheEmulator) {
  const auto ran = run({program_of("step4_firestore"), "--check"}, project().environment());
  EXPECT_EQ(ran.exit_code, 0) << ran.standard_error;
  EXPECT_THAT(ran.standard_output, testing::StartsWith("PONG\n"));
  EXPECT_THAT(ran.standard_output, HasSubstr(project().id()));
  EXPECT_THAT(ran.standard_output, HasSubstr("emulator at"));
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

/// With an emulator of its own, which it stops.
class Step4Outage : public testing::Test {
 protected:
  void SetUp() override {
    if (!FirestoreEmulator::is_installed()) {
      return skip_for_lack_of("The Firestore emulator");
    }
    emulator_.emplace();
    project_.emplace(*emulator_);
  }

  std::optional<FirestoreEmulator> emulator_;
  std::optional<FirestoreProject> project_;
};

void expect_refused_within_six_seconds(const std::string& url, const std::string& id) {
  const auto start = Clock::now();
  const auto response = HttpClient{url}.get("/", {cookie_header("session_id", id)});
  EXPECT_LT(Clock::now() - start, seconds{6});
  EXPECT_EQ(response.status, 503);
  EXPECT_TRUE(response.header("Retry-After"));
  EXPECT_FALSE(response.cookie("session_id"));
}

TEST_F(Step4Outage, AStoppedEmulatorIs503WithinSixSecondsAndWorksAgainWhenItIsBack) {
  ServerProcess server{"step4_firestore", project_->environment()};
  const auto first = visit(server.url());
  emulator_->stop();
  expect_refused_within_six_seconds(server.url(), first.id);
  EXPECT_TRUE(server.logs("Firestore"));
  EXPECT_EQ(HttpClient{server.url()}.get("/nothing").status, 404);
  emulator_->start();
  // The emulator has forgotten the session, so a new one begins.
  EXPECT_EQ(visit(server.url(), first.id).views, 1);
}

TEST_F(Step4Outage, AFrozenEmulatorIs503WithinSixSecondsForEverybodyAndLosesNothing) {
  ServerProcess server{"step4_firestore", project_->environment()};
  const auto first = visit(server.url());
  emulator_->freeze();
  std::vector<std::future<void>> visits;
  for (int number = 0; number < 5; ++number) {
    visits.push_back(std::async(
        std::launch::async, [&] { expect_refused_within_six_seconds(server.url(), first.id); }));
  }
  for (auto& one : visits) {
    one.get();
  }
  emulator_->thaw();
  EXPECT_TRUE(wait_until(
      [&] {
        const auto response =
            HttpClient{server.url()}.get("/", {cookie_header("session_id", first.id)});
        return response.status == 200 && read_visit(response).greeting == first.greeting;
      },
      seconds{20}));
}

TEST_F(Step4Outage, AServerThatIsStartedFirstWarnsAndWorksOnceTheEmulatorIsThere) {
  emulator_->stop();
  ServerProcess server{"step4_firestore", project_->environment()};
  EXPECT_TRUE(wait_until(
      [&] { return server.log().find("tries again when a page needs") != std::string::npos; }));
  emulator_->start();
  EXPECT_EQ(visit(server.url()).views, 1);
}

TEST_F(Step4Outage, AVisitThatBeganBeforeTheEmulatorCameBackSucceeds) {
  ServerProcess server{"step4_firestore", project_->environment()};
  emulator_->stop();
  auto early = std::async(std::launch::async, [&] { return visit(server.url()); });
  emulator_->start();
  EXPECT_EQ(early.get().views, 1);
}

TEST_F(Step4Outage, SigtermDuringAnOutageEndsTheServerCleanly) {
  ServerProcess server{"step4_firestore", project_->environment()};
  const auto first = visit(server.url());
  emulator_->freeze();
  auto refused = std::async(std::launch::async,
                            [&] { expect_refused_within_six_seconds(server.url(), first.id); });
  server.process().signal(SIGTERM);
  EXPECT_EQ(server.process().wait_for_exit(), 0);
  try {
    refused.get();
  } catch (const std::runtime_error&) {
    // The signal came before the request.
  }
  emulator_->thaw();
}

}  // namespace
}  // namespace sessions::test

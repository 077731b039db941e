// Step 4: what Firestore holds of the visits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
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

using nlohmann::json;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
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
  const Rule rule{"document.fields"};
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
  const Rule rule{"document.fields"};
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
  const Rule rule{"document.expired"};
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

}  // namespace
}  // namespace sessions::test

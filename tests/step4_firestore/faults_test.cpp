// Step 4 in front of a Firestore that fails.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>

#include "behind_fault_proxy.hpp"
#include "greeting_page.hpp"
#include "http_client.hpp"
#include "server_process.hpp"

namespace sessions::test {
namespace {

using nlohmann::json;
using testing::IsEmpty;
using testing::SizeIs;

/// A server behind a fault proxy, and a visitor who has been there once.
class Step4Faults : public BehindFaultProxy {
 protected:
  void prepare() override {
    auto environment = project_->environment();
    environment["FIRESTORE_EMULATOR_HOST"] = proxy_->host();
    server_.emplace("step4_firestore", environment);
    // The server looks for Firestore when it starts: wait for that, or it would be counted below.
    wait_until([&] { return !proxy_->calls("batchGet").empty(); });
    id_ = HttpClient{server_->url()}.get("/").cookie("session_id").value();
  }

  Response visit() {
    return HttpClient{server_->url()}.get("/", {cookie_header("session_id", id_)});
  }

  std::int64_t stored_views() const {
    const auto fields = project_->fields("sessions/" + id_).value();
    return std::stoll(fields.at("views").at("integerValue").get<std::string>());
  }

  /// The page says 2, and Firestore has counted 2.
  void expect_counted_once(const Response& response) const {
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_TRUE(response.contains("2 views for")) << response.body;
    EXPECT_EQ(stored_views(), 2);
  }

  void expect_refused(const Response& response, int status) const {
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_FALSE(response.cookie("session_id"));
    EXPECT_EQ(stored_views(), 1);
    EXPECT_FALSE(response.contains("made by the test"));
  }

  /// The calls of this name that came after SetUp().
  std::vector<json> calls(const std::string& name) const {
    auto all = proxy_->calls(name);
    all.erase(all.begin());
    return all;
  }

  std::optional<ServerProcess> server_;
  std::string id_;
};

TEST_F(Step4Faults, ReadsInOneCallAndCommitsInAnotherUnlessTheDocumentHasChanged) {
  expect_counted_once(visit());
  ASSERT_THAT(calls("batchGet"), SizeIs(1));
  EXPECT_FALSE(calls("batchGet")[0].contains("newTransaction"));
  ASSERT_THAT(calls("commit"), SizeIs(1));
  EXPECT_FALSE(calls("commit")[0].contains("transaction"));
  ASSERT_THAT(calls("commit")[0].at("writes"), SizeIs(1));
  EXPECT_TRUE(calls("commit")[0].at("writes")[0].at("currentDocument").contains("updateTime"));
  EXPECT_THAT(proxy_->calls("rollback"), IsEmpty());
}

/// Somebody else counts a view after each of the first `times` reads.
class Step4Conflicts : public Step4Faults, public testing::WithParamInterface<int> {};

TEST_P(Step4Conflicts, ACommitThatIsRefusedNTimesIsRunAgainWithWhatTheOthersWrote) {
  const auto times = GetParam();
  proxy_->fail("batchGet", 1,
               Fault{true,
                     [&](StandInAnswer answer) {
                       const auto path = "sessions/" + id_;
                       auto fields = project_->fields(path).value();
                       const auto views = std::to_string(stored_views() + 1);
                       fields["views"] = {{"integerValue", views}};
                       project_->write(path, fields);
                       return answer;
                     }},
               times);
  const auto response = visit();
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_TRUE(response.contains(std::to_string(times + 2) + " views for")) << response.body;
  EXPECT_EQ(stored_views(), times + 2);
  EXPECT_THAT(calls("commit"), SizeIs(times + 1));
}

INSTANTIATE_TEST_SUITE_P(Times, Step4Conflicts, testing::Values(1, 2, 7));

TEST_F(Step4Faults, AbortedTwiceIsCountedOnce) {
  proxy_->fail("commit", 1, Fault::refuse(409, "ABORTED"), 2);
  expect_counted_once(visit());
  EXPECT_THAT(calls("commit"), SizeIs(3));
}

TEST_F(Step4Faults, AbortedOnTheFirstVisitIsCountedOnce) {
  proxy_->fail("commit", 1, Fault::refuse(409, "ABORTED"));
  const auto response = HttpClient{server_->url()}.get("/");
  EXPECT_TRUE(response.contains("1 views for")) << response.status;
}

TEST_F(Step4Faults, RefusedUntilTheDeadlineIs503AndNothingIsCounted) {
  proxy_->fail("commit", 1, Fault::refuse(400, "FAILED_PRECONDITION"), 1000);
  const auto start = Clock::now();
  expect_refused(visit(), 503);
  EXPECT_LT(Clock::now() - start, kInTime);
  proxy_->fail("commit", 1, Fault::refuse(400, "FAILED_PRECONDITION"), 0);
  expect_counted_once(visit());
}

TEST_F(Step4Faults, AbortedOnTheReadIsRetried) {
  proxy_->fail("batchGet", 1, Fault::refuse(409, "ABORTED"), 2);
  expect_counted_once(visit());
  EXPECT_THAT(calls("batchGet"), SizeIs(3));
}

TEST_F(Step4Faults, AnIdThatIsInUseIsNotTakenForAConflict) {
  proxy_->fail("commit", 1, Fault::refuse(409, "ALREADY_EXISTS"));
  EXPECT_EQ(HttpClient{server_->url()}.get("/").status, 500);
  EXPECT_THAT(calls("commit"), SizeIs(1));
}

TEST_F(Step4Faults, WhatCannotSucceedIsNotRetried) {
  for (const auto& [http_status, status] : std::vector<std::pair<int, std::string>>{
           {403, "PERMISSION_DENIED"}, {400, "INVALID_ARGUMENT"}, {404, "NOT_FOUND"}}) {
    const auto before = calls("batchGet").size();
    proxy_->fail("batchGet", 1, Fault::refuse(http_status, status));
    expect_refused(visit(), 500);
    EXPECT_EQ(calls("batchGet").size(), before + 1) << status;
    EXPECT_TRUE(server_->logs(status));
  }
  EXPECT_THAT(calls("commit"), IsEmpty());
}

TEST_F(Step4Faults, AFailureOfTheMomentIsRetried) {
  for (const auto& [http_status, status] :
       std::vector<std::pair<int, std::string>>{{503, "UNAVAILABLE"},
                                                {504, "DEADLINE_EXCEEDED"},
                                                {500, "INTERNAL"},
                                                {429, "RESOURCE_EXHAUSTED"}}) {
    const auto before = stored_views();
    proxy_->fail("batchGet", 1, Fault::refuse(http_status, status));
    proxy_->fail("commit", 1, Fault::refuse(http_status, status));
    EXPECT_EQ(visit().status, 200) << status;
    EXPECT_EQ(stored_views(), before + 1) << status;
  }
}

TEST_F(Step4Faults, ACommitOfUnknownOutcomeIsResentAsItIs) {
  proxy_->fail("commit", 1, Fault::refuse(503, "UNAVAILABLE"), 2);
  expect_counted_once(visit());
  ASSERT_THAT(calls("commit"), SizeIs(3));
  EXPECT_EQ(calls("commit")[1], calls("commit")[0]);
  EXPECT_EQ(calls("commit")[2], calls("commit")[0]);
}

TEST_F(Step4Faults, UnavailableAfterTheCommitWasAppliedIsCountedOnce) {
  proxy_->fail("commit", 1, Fault::lose_answer(503, "UNAVAILABLE"));
  expect_counted_once(visit());
  EXPECT_THAT(calls("commit"), SizeIs(2));
}

TEST_F(Step4Faults, AConnectionLostAfterTheCommitWasAppliedIsCountedOnce) {
  proxy_->fail("commit", 1, Fault::hang_up(true));
  expect_counted_once(visit());
}

TEST_F(Step4Faults, AConnectionLostBeforeTheCommitArrivedIsCountedOnce) {
  proxy_->fail("commit", 1, Fault::hang_up(false));
  expect_counted_once(visit());
}

TEST_F(Step4Faults, AnAnswerToTheCommitThatIsCutOffIsCountedOnce) {
  proxy_->fail("commit", 1, Fault::cut_off());
  expect_counted_once(visit());
}

TEST_F(Step4Faults, ANewSessionWhoseCommitLostItsAnswerIsOneSession) {
  proxy_->fail("commit", 1, Fault::lose_answer(503, "UNAVAILABLE"));
  const auto response = HttpClient{server_->url()}.get("/");
  EXPECT_TRUE(response.contains("1 views for"));
  EXPECT_THAT(project_->ids("sessions"), SizeIs(2));
  EXPECT_TRUE(project_->fields("sessions/" + response.cookie("session_id").value()));
}

TEST_F(Step4Faults, AnOutcomeThatNobodyCanTellIsNotRepeated) {
  const auto path = "sessions/" + id_;
  Fault overtaken{true, [&](const StandInAnswer&) {
                    auto fields = project_->fields(path).value();
                    EXPECT_EQ(fields.at("views"), (json{{"integerValue", "2"}}));
                    fields["views"] = {{"integerValue", "40"}};
                    project_->write(path, fields);
                    return Fault::refuse(503, "UNAVAILABLE").change({});
                  }};
  proxy_->fail("commit", 1, overtaken);
  const auto response = visit();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(stored_views(), 40);
  EXPECT_TRUE(server_->logs("unknown whether a write was applied"));
}

TEST_F(Step4Faults, ACommitThatNeverGetsAnAnswerIs503InTime) {
  proxy_->fail("commit", 1, Fault::refuse(503, "UNAVAILABLE"), 1000);
  const auto start = Clock::now();
  expect_refused(visit(), 503);
  EXPECT_LT(Clock::now() - start, kInTime);
  for (const auto& commit : calls("commit")) {
    EXPECT_EQ(commit, calls("commit")[0]);
  }
}

TEST_F(Step4Faults, ASlowAnswerIsWaitedFor) {
  proxy_->fail("batchGet", 1, Fault::delay(milliseconds{700}));
  proxy_->fail("commit", 1, Fault::delay(milliseconds{700}));
  expect_counted_once(visit());
  EXPECT_THAT(calls("commit"), SizeIs(1));
}

TEST_F(Step4Faults, AnAnswerThatComesTooLateIs503InTimeAndLocksNothing) {
  proxy_->fail("batchGet", 1, Fault::delay(seconds{7}));
  const auto start = Clock::now();
  expect_refused(visit(), 503);
  EXPECT_LT(Clock::now() - start, kInTime);
  expect_counted_once(visit());
}

TEST_F(Step4Faults, AReadThatIsCutOffIsRetried) {
  proxy_->fail("batchGet", 1, Fault::cut_off());
  expect_counted_once(visit());
}

TEST_F(Step4Faults, AConnectionLostBeforeTheReadArrivedIsRetried) {
  proxy_->fail("batchGet", 1, Fault::hang_up(false));
  expect_counted_once(visit());
}

StandInAnswer bad_gateway(const StandInAnswer& /*answer*/) {
  return {502, "<html>Bad gateway</html>", StandInAnswer::Ending::kComplete};
}

TEST_F(Step4Faults, AnAnswerThatIsNotJsonIsAFailureOfTheMoment) {
  const Fault page{false, bad_gateway};
  proxy_->fail("batchGet", 1, page);
  proxy_->fail("commit", 1, page);
  expect_counted_once(visit());
}

TEST_F(Step4Faults, ConnectionsAreKept) {
  HttpClient client{server_->url()};
  for (int repetition = 0; repetition < 20; ++repetition) {
    EXPECT_EQ(client.get("/", {cookie_header("session_id", id_)}).status, 200);
  }
  EXPECT_LE(proxy_->connections(), 3U);
}

TEST_F(Step4Faults, AFailingSessionDoesNotHoldUpOthers) {
  proxy_->fail("batchGet", 1, Fault::delay(seconds{3}));
  auto slow = std::async(std::launch::async, [&] { return visit(); });
  ASSERT_TRUE(wait_until([&] { return calls("batchGet").size() == 1; }));
  const auto start = Clock::now();
  EXPECT_EQ(HttpClient{server_->url()}.get("/").status, 200);
  EXPECT_LT(Clock::now() - start, seconds{2});
  expect_counted_once(slow.get());
}

}  // namespace
}  // namespace sessions::test

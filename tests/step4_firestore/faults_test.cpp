// Step 4 in front of a Firestore that fails.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>

#include "behind_fault_proxy.hpp"
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
    all.erase(all.begin(), all.begin() + (name == "rollback" ? 0 : 1));
    return all;
  }

  std::optional<ServerProcess> server_;
  std::string id_;
};

TEST_F(Step4Faults, BeginsAndReadsInOneCallAndCommitsInAnother) {
  expect_counted_once(visit());
  ASSERT_THAT(calls("batchGet"), SizeIs(1));
  EXPECT_EQ(calls("batchGet")[0].at("newTransaction"), (json{{"readWrite", json::object()}}));
  ASSERT_THAT(calls("commit"), SizeIs(1));
  EXPECT_TRUE(calls("commit")[0].contains("transaction"));
  EXPECT_THAT(calls("rollback"), IsEmpty());
}

TEST_F(Step4Faults, AnAbortedTransactionIsRetriedAsANewOneThatNamesTheOld) {
  proxy_->fail("commit", 1, Fault::refuse(409, "ABORTED"));
  expect_counted_once(visit());
  ASSERT_THAT(calls("batchGet"), SizeIs(2));
  ASSERT_THAT(calls("commit"), SizeIs(2));
  const auto first = calls("commit")[0].at("transaction");
  EXPECT_EQ(calls("batchGet")[1].at("newTransaction").at("readWrite"),
            (json{{"retryTransaction", first}}));
  EXPECT_NE(calls("commit")[1].at("transaction"), first);
}

TEST_F(Step4Faults, AbortedTwiceIsCountedOnce) {
  proxy_->fail("commit", 1, Fault::refuse(409, "ABORTED"), 2);
  expect_counted_once(visit());
  EXPECT_THAT(calls("commit"), SizeIs(3));
}

TEST_F(Step4Faults, AbortedFiveTimesIs503AndNothingIsCounted) {
  proxy_->fail("commit", 1, Fault::refuse(409, "ABORTED"), 5);
  expect_refused(visit(), 503);
  EXPECT_THAT(calls("commit"), SizeIs(5));
  expect_counted_once(visit());
}

TEST_F(Step4Faults, AbortedOnTheReadIsRetried) {
  proxy_->fail("batchGet", 1, Fault::refuse(409, "ABORTED"), 2);
  expect_counted_once(visit());
  EXPECT_THAT(calls("batchGet"), SizeIs(3));
}

TEST_F(Step4Faults, AlreadyExistsIsNotTakenForAborted) {
  proxy_->fail("commit", 1, Fault::refuse(409, "ALREADY_EXISTS"));
  expect_refused(visit(), 500);
  EXPECT_THAT(calls("commit"), SizeIs(1));
  ASSERT_THAT(calls("rollback"), SizeIs(1));
  EXPECT_EQ(calls("rollback")[0].at("transaction"), calls("commit")[0].at("transaction"));
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

TEST_F(Step4Faults, ATransactionThatWasClosedWithoutBeingAppliedIsRunAgain) {
  const Fault unknown_then_closed{false, [number = std::make_shared<int>(0)](const StandInAnswer&) {
                                    return (*number)++ == 0
                                               ? Fault::refuse(503, "UNAVAILABLE").change({})
                                               : Fault::refuse(400, "INVALID_ARGUMENT").change({});
                                  }};
  proxy_->fail("commit", 1, unknown_then_closed, 2);
  expect_counted_once(visit());
  EXPECT_THAT(calls("batchGet"), SizeIs(3)) << "to begin, to look, to begin again";
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

TEST_F(Step4Faults, ACommitThatNeverGetsAnAnswerIs503WithinSixSeconds) {
  proxy_->fail("commit", 1, Fault::refuse(503, "UNAVAILABLE"), 1000);
  const auto start = Clock::now();
  expect_refused(visit(), 503);
  EXPECT_LT(Clock::now() - start, seconds{6});
  for (const auto& commit : calls("commit")) {
    EXPECT_EQ(commit, calls("commit")[0]);
  }
  EXPECT_THAT(calls("rollback"), SizeIs(1));
}

TEST_F(Step4Faults, ASlowAnswerIsWaitedFor) {
  proxy_->fail("batchGet", 1, Fault::delay(milliseconds{700}));
  proxy_->fail("commit", 1, Fault::delay(milliseconds{700}));
  expect_counted_once(visit());
  EXPECT_THAT(calls("commit"), SizeIs(1));
}

TEST_F(Step4Faults, AnAnswerThatComesTooLateIs503WithinSixSeconds) {
  proxy_->fail("batchGet", 1, Fault::delay(seconds{7}));
  const auto start = Clock::now();
  expect_refused(visit(), 503);
  EXPECT_LT(Clock::now() - start, seconds{6});
  // The late answer named a transaction, and that one must not keep its lock.
  EXPECT_TRUE(wait_until([&] { return calls("rollback").size() == 1; }));
  expect_counted_once(visit());
}

TEST_F(Step4Faults, AReadThatIsCutOffCountsOnceOrNotAtAll) {
  proxy_->fail("batchGet", 1, Fault::cut_off());
  const auto response = visit();
  // The lost answer named a transaction that now holds a lock, for as long as Firestore lets it.
  EXPECT_EQ(stored_views(), response.status == 200 ? 2 : 1);
  EXPECT_TRUE(response.status == 200 || response.status == 503) << response.status;
  EXPECT_TRUE(HttpClient{server_->url()}.get("/").contains("1 views for"));
}

TEST_F(Step4Faults, AConnectionLostBeforeTheReadArrivedIsRetried) {
  proxy_->fail("batchGet", 1, Fault::hang_up(false));
  expect_counted_once(visit());
}

TEST_F(Step4Faults, TheTransactionsIdMayComeWithTheDocumentOrAlone) {
  proxy_->fail("batchGet", 1, Fault::rewrite([](json answer) {
                 EXPECT_EQ(answer.at(0).size(), 1U) << "the emulator sends it alone";
                 answer.at(1).update(answer.at(0));
                 return json::array({answer.at(1)});
               }));
  expect_counted_once(visit());
  EXPECT_TRUE(visit().contains("3 views for"));
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

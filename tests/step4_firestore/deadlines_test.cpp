// Step 4 keeps its deadlines, whatever hangs.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "behind_fault_proxy.hpp"
#include "greeting_page.hpp"
#include "http_client.hpp"
#include "server_process.hpp"

namespace sessions::test {
namespace {

/// A visit in the visitor's own session.
void expect_503_in_time(const std::string& url, int visitor) {
  const auto id = fmt::format("00000000-0000-4000-8000-{:012}", visitor);
  const auto start = Clock::now();
  EXPECT_EQ(HttpClient{url}.get("/", {cookie_header("session_id", id)}).status, 503);
  EXPECT_LT(Clock::now() - start, kInTime);
}

void expect_all_503_in_time(const std::string& url, int visitors) {
  std::vector<std::future<void>> visits;
  for (int visitor = 0; visitor < visitors; ++visitor) {
    visits.push_back(std::async(std::launch::async, expect_503_in_time, url, visitor));
  }
  for (auto& visit : visits) {
    visit.get();
  }
}

class Step4HangingFirestore : public BehindFaultProxy {
 protected:
  void prepare() override {
    auto environment = project_->environment();
    environment["FIRESTORE_EMULATOR_HOST"] = proxy_->host();
    server_.emplace("step4_firestore", environment);
    wait_until([&] { return !proxy_->calls("batchGet").empty(); });
  }
  void TearDown() override { hangs_ = false; }

  std::optional<ServerProcess> server_;
  std::atomic<bool> hangs_ = true;
};

TEST_F(Step4HangingFirestore, MoreVisitorsThanConnectionsGet503AndTheNextOneIsServedAtOnce) {
  constexpr int kVisitors = 120;  // libcurl opens 100 connections
  const Fault hang{false, [&](StandInAnswer answer) {
                     wait_until([&] { return !hangs_; }, seconds{60});
                     answer.ending = StandInAnswer::Ending::kNoAnswer;
                     return answer;
                   }};
  proxy_->fail("batchGet", 1, hang, kVisitors);
  expect_all_503_in_time(server_->url(), kVisitors);
  EXPECT_GE(proxy_->connections(), 100U) << "all of them were in use";
  proxy_->fail("batchGet", 1, hang, 0);
  const auto start = Clock::now();
  EXPECT_EQ(visit(server_->url()).views, 1);
  EXPECT_LT(Clock::now() - start, seconds{1} * kSlowdown);
}

/// A server that looks for Firestore under a name for which no name server answers.
class Step4SilentNames : public testing::Test {
 protected:
  ServerProcess server_{
      "step4_firestore",
      {{"FIRESTORE_EMULATOR_HOST", "silent.test:8085"}, {"LD_PRELOAD", SESSIONS_SILENT_NAMES}}};

  void expect_end_within_two_seconds() {
    const auto start = Clock::now();
    EXPECT_EQ(server_.stop(), 0);
    EXPECT_LT(Clock::now() - start, seconds{2} * kSlowdown);
  }
};

TEST_F(Step4SilentNames, EverybodyGets503InTimeAndOtherPagesAtOnce) {
  auto visits = std::async(std::launch::async, expect_all_503_in_time, server_.url(), 5);
  while (visits.wait_for(milliseconds{100}) != std::future_status::ready) {
    const auto start = Clock::now();
    EXPECT_EQ(HttpClient{server_.url()}.get("/nothing").status, 404);
    EXPECT_LT(Clock::now() - start, seconds{1} * kSlowdown);
  }
  expect_503_in_time(server_.url(), 0);
  expect_end_within_two_seconds();
}

TEST_F(Step4SilentNames, SigtermDoesNotWaitForALookup) { expect_end_within_two_seconds(); }

}  // namespace
}  // namespace sessions::test

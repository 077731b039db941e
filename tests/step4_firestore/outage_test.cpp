// Step 4 while the emulator is away.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "firestore_emulator.hpp"
#include "firestore_fault_proxy.hpp"
#include "greeting_page.hpp"
#include "http_client.hpp"
#include "server_process.hpp"

namespace sessions::test {
namespace {
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

void expect_refused_in_time(const std::string& url, const std::string& id) {
  const auto start = Clock::now();
  const auto response = HttpClient{url}.get("/", {cookie_header("session_id", id)});
  EXPECT_LT(Clock::now() - start, kInTime);
  EXPECT_EQ(response.status, 503);
  EXPECT_TRUE(response.header("Retry-After"));
  EXPECT_FALSE(response.cookie("session_id"));
}

TEST_F(Step4Outage, AStoppedEmulatorIs503InTimeAndWorksAgainWhenItIsBack) {
  ServerProcess server{"step4_firestore", project_->environment()};
  const auto first = visit(server.url());
  emulator_->stop();
  expect_refused_in_time(server.url(), first.id);
  EXPECT_TRUE(server.logs("Firestore"));
  EXPECT_EQ(HttpClient{server.url()}.get("/nothing").status, 404);
  emulator_->start();
  // The emulator has forgotten the session, so a new one begins.
  EXPECT_EQ(visit(server.url(), first.id).views, 1);
}

TEST_F(Step4Outage, AFrozenEmulatorIs503InTimeForEverybodyAndLosesNothing) {
  ServerProcess server{"step4_firestore", project_->environment()};
  const auto first = visit(server.url());
  emulator_->freeze();
  std::vector<std::future<void>> visits;
  for (int number = 0; number < 5; ++number) {
    visits.push_back(
        std::async(std::launch::async, [&] { expect_refused_in_time(server.url(), first.id); }));
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
      seconds{60}));
}

TEST_F(Step4Outage, AServerThatIsStartedFirstWarnsAndWorksOnceTheEmulatorIsThere) {
  emulator_->stop();
  ServerProcess server{"step4_firestore", project_->environment()};
  EXPECT_TRUE(wait_until(
      [&] { return server.log().find("tries again when a page needs") != std::string::npos; }));
  emulator_->start();
  EXPECT_EQ(visit(server.url()).views, 1);
}

TEST_F(Step4Outage, AVisitThatBeganWhileTheEmulatorWasFrozenSucceeds) {
  const FirestoreFaultProxy proxy{*emulator_};
  auto environment = project_->environment();
  environment["FIRESTORE_EMULATOR_HOST"] = proxy.host();
  ServerProcess server{"step4_firestore", environment};
  const auto first = visit(server.url());
  const auto calls = proxy.calls("batchGet").size();
  emulator_->freeze();
  auto early = std::async(std::launch::async, [&] { return visit(server.url(), first.id); });
  EXPECT_TRUE(wait_until([&] { return proxy.calls("batchGet").size() > calls; }));
  emulator_->thaw();
  EXPECT_EQ(early.get().views, 2);
}

TEST_F(Step4Outage, SigtermDuringAnOutageEndsTheServerCleanly) {
  ServerProcess server{"step4_firestore", project_->environment()};
  const auto first = visit(server.url());
  emulator_->freeze();
  auto refused =
      std::async(std::launch::async, [&] { expect_refused_in_time(server.url(), first.id); });
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

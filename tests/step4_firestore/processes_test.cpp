// Several servers of step 4 that count in one session.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "firestore_emulator.hpp"
#include "greeting_page.hpp"
#include "http_client.hpp"
#include "server_process.hpp"

namespace sessions::test {
namespace {

constexpr int kVisitors = 16;

/// Two servers and one session.
class Step4Processes : public testing::Test {
 protected:
  void SetUp() override {
    if (!FirestoreEmulator::is_installed()) {
      return skip_for_lack_of("The Firestore emulator");
    }
    project_.emplace(FirestoreEmulator::shared());
    for (std::size_t number = 0; number < servers_.size(); ++number) {
      start(number);
    }
    id_ = visit(url(0)).id;
  }

  void start(std::size_t number) {
    auto server = std::make_shared<ServerProcess>("step4_firestore", project_->environment());
    const std::lock_guard lock{mutex_};
    servers_.at(number) = std::move(server);
  }
  void kill(std::size_t number) {
    const std::lock_guard lock{mutex_};
    servers_.at(number)->expect_any_end();
    servers_.at(number)->process().signal(SIGKILL);
  }
  std::string url(std::size_t number) {
    const std::lock_guard lock{mutex_};
    return servers_.at(number)->url();
  }

  /// What the answers to many visits from many visitors were: the views on the pages, each once,
  /// and how many visits had no page.
  struct Seen {
    std::multiset<std::int64_t> views;
    int failures = 0;
  };
  Seen visit_until(const std::function<bool(int)>& is_enough) {
    Seen seen;
    std::mutex mutex;
    std::atomic<int> count = 0;
    std::vector<std::future<void>> visitors;
    for (std::size_t visitor = 0; visitor < kVisitors; ++visitor) {
      visitors.push_back(std::async(std::launch::async, [&, visitor] {
        while (!is_enough(count++)) {
          std::optional<std::int64_t> views;
          try {
            views = visit(url(visitor % servers_.size()), id_).views;
          } catch (const std::runtime_error&) {
            std::this_thread::sleep_for(milliseconds{10});
          }
          const std::lock_guard lock{mutex};
          views ? static_cast<void>(seen.views.insert(*views)) : static_cast<void>(++seen.failures);
        }
      }));
    }
    for (auto& visitor : visitors) {
      visitor.get();
    }
    return seen;
  }

  std::int64_t stored_views() const {
    const auto fields = project_->fields("sessions/" + id_).value();
    return std::stoll(fields.at("views").at("integerValue").get<std::string>());
  }

  std::optional<FirestoreProject> project_;
  std::string id_;

 private:
  std::mutex mutex_;
  std::array<std::shared_ptr<ServerProcess>, 2> servers_;
};

TEST_F(Step4Processes, BothCountInOneSessionAndNobodyIsRefused) {
  constexpr int kVisits = 150;
  const auto seen = visit_until([&](int visits) { return visits >= kVisits; });
  EXPECT_EQ(seen.failures, 0);
  EXPECT_EQ(stored_views(), 1 + kVisits);
  EXPECT_EQ(*seen.views.begin(), 2);
  EXPECT_EQ(std::set<std::int64_t>(seen.views.begin(), seen.views.end()).size(), kVisits);
}

TEST_F(Step4Processes, KilledAndRestartedUnderLoadTheyCountEachAcknowledgedViewOnce) {
  std::atomic<bool> is_over = false;
  auto load = std::async(std::launch::async, [&] {
    return visit_until([&](int /*visits*/) { return is_over.load(); });
  });
  for (const std::size_t number : {0, 1, 0, 1}) {
    const auto before = stored_views();
    EXPECT_TRUE(wait_until([&] { return stored_views() > before + 20; }));
    kill(number);
    start(number);
  }
  is_over = true;
  const auto seen = load.get();
  const std::set<std::int64_t> different{seen.views.begin(), seen.views.end()};
  EXPECT_EQ(different.size(), seen.views.size()) << "no number was shown twice";
  const auto acknowledged = static_cast<std::int64_t>(seen.views.size());
  const auto counted = stored_views() - 1;
  EXPECT_GE(counted, acknowledged);
  EXPECT_LE(counted, acknowledged + seen.failures);
}

}  // namespace
}  // namespace sessions::test

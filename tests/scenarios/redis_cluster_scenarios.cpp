#include "redis_cluster_scenarios.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <thread>

namespace sessions::test {
namespace {

/// Users who visit all the time, each on a thread of its own.
class Load {
 public:
  struct User {
    std::string name;
    std::atomic<int> counted = 0;  ///< visits that were answered with a number
    std::atomic<int> failed = 0;   ///< with 503
    std::atomic<bool> is_in_order = true;
    std::atomic<int> unexpected = 0;  ///< another status
    std::string key() const { return "user:" + name; }
  };

  explicit Load(const std::string& url) {
    for (int number = 0; number < kUsers; ++number) {
      users_.emplace_back().name = "user" + std::to_string(number);
    }
    for (auto& user : users_) {
      threads_.emplace_back([&user, url](const std::stop_token& stop) { visit(user, url, stop); });
    }
  }

  std::deque<User>& users() { return users_; }

  /// Waits until each user has made `number` more visits that were counted.
  bool goes_on(int number = 20) {
    return std::ranges::all_of(users_, [number](const User& user) {
      const int before = user.counted;
      return wait_until([&] { return user.counted >= before + number; });
    });
  }
  void stop() { threads_.clear(); }

 private:
  static constexpr int kUsers = 12;

  static void visit(User& user, const std::string& url, const std::stop_token& stop) {
    HttpClient client{url};
    const auto cookie = cookie_header("session", logged_in_cookie(client, user.name));
    for (int last = 0; !stop.stop_requested();) {
      const auto response = client.get("/", {cookie});
      if (response.status == 200) {
        ++user.counted;
        const int count = visits_in(response);
        if (count <= last) {
          user.is_in_order = false;
        }
        last = count;
      } else {
        ++(response.status == 503 ? user.failed : user.unexpected);
      }
    }
  }

  std::deque<User> users_;
  std::vector<std::jthread> threads_;
};

}  // namespace

std::span<const Scenario<RedisClusterScenarios>> RedisClusterScenarios::all() {
  using Self = RedisClusterScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"PlannedChangesLoseNoVisit", &Self::planned_changes_lose_no_visit},
      Scenario<Self>{"KilledPrimaryIsReplacedAndNoVisitCountsTwice",
                     &Self::killed_primary_is_replaced_and_no_visit_counts_twice},
      Scenario<Self>{"SpeaksTlsWithPasswordToAnnouncedNames",
                     &Self::speaks_tls_with_password_to_announced_names},
  };
  return kAll;
}

void RedisClusterScenarios::planned_changes_lose_no_visit() {
  RedisCluster cluster{RedisCluster::Access::kOpen, std::chrono::seconds{10}};
  ServerProcess server{step(),
                       {{"REDIS_URL", cluster.url()}, {"SESSION_TTL", "1000"}, {"QUIET", "1"}}};
  Load load{server.url()};
  EXPECT_TRUE(load.goes_on());
  auto& to = cluster.primary_of(16383);
  auto& resharded = cluster.primary_of(0);
  for (int slot = 3100; slot < 3600; ++slot) {
    cluster.move(slot, resharded, to);
  }
  EXPECT_TRUE(load.goes_on()) << "after a reshard";

  auto& from = cluster.primary_of(8000);
  std::vector<std::string> half_moved;
  for (const auto& user : load.users()) {
    if (&cluster.primary_of(cluster.slot_of(user.key())) == &from) {
      cluster.begin_to_move(cluster.slot_of(user.key()), from, to);
      half_moved.push_back(user.key());
    }
  }
  ASSERT_GE(half_moved.size(), 2U);
  cluster.move_keys(from, to, {half_moved.front()});
  EXPECT_TRUE(load.goes_on(50)) << "with slots half moved";
  cluster.move_keys(from, to, {half_moved.begin() + 1, half_moved.end()});
  EXPECT_TRUE(load.goes_on(50)) << "with their keys moved";
  for (const auto& key : half_moved) {
    cluster.end_move(cluster.slot_of(key), from, to);
  }
  EXPECT_TRUE(load.goes_on());

  for (const auto& user : load.users()) {
    EXPECT_EQ(user.failed, 0) << user.name;
  }
  const auto before = Clock::now();
  cluster.fail_over(to);
  EXPECT_TRUE(load.goes_on()) << "after a planned failover";
  // Redis holds back all writes meanwhile, on a busy machine for longer than the second that a step
  // waits for it.
  const auto pause = std::chrono::floor<std::chrono::seconds>(Clock::now() - before).count();
  load.stop();
  for (const auto& user : load.users()) {
    EXPECT_EQ(user.unexpected, 0) << user.name;
    EXPECT_LE(user.failed, pause) << user.name;
    EXPECT_TRUE(user.is_in_order) << user.name;
    EXPECT_GE(cluster.count_of(user.key()), user.counted) << user.name;
    EXPECT_LE(cluster.count_of(user.key()), user.counted + user.failed) << user.name;
  }
}

void RedisClusterScenarios::killed_primary_is_replaced_and_no_visit_counts_twice() {
  RedisCluster cluster;
  ServerProcess server{step(),
                       {{"REDIS_URL", cluster.url()}, {"SESSION_TTL", "1000"}, {"QUIET", "1"}}};
  Load load{server.url()};
  EXPECT_TRUE(load.goes_on());
  cluster.primary_of(0).kill();  // the one that REDIS_URL names
  EXPECT_TRUE(load.goes_on()) << "the replica has not taken over";
  load.stop();
  int failed = 0;
  for (const auto& user : load.users()) {
    EXPECT_EQ(user.unexpected, 0) << user.name;
    EXPECT_LE(cluster.count_of(user.key()), user.counted + user.failed) << user.name;
    failed += user.failed;
  }
  EXPECT_GT(failed, 0) << "nobody has noticed";

  // Nobody has asked for anything meanwhile, and the map of the slots is out of date.
  auto& primary = cluster.primary_of(16383);
  primary.kill();
  ASSERT_TRUE(wait_until([&] {
    try {
      return std::ranges::all_of(std::array{0, 8000, 16383}, [&](int slot) {
        const auto state = cluster.primary_of(slot).command({"CLUSTER", "INFO"});
        return state.value_or("").find("cluster_state:ok") != std::string::npos;
      });
    } catch (const std::runtime_error&) {
      return false;  // the replica has not taken over yet
    }
  }));
  HttpClient client{server.url()};
  for (const auto& user : load.users()) {
    EXPECT_EQ(
        client.get("/", {cookie_header("session", logged_in_cookie(client, user.name))}).status,
        200);
  }
}

void RedisClusterScenarios::speaks_tls_with_password_to_announced_names() {
  RedisCluster cluster{RedisCluster::Access::kEncryptedWithPassword};
  ServerProcess server{step(),
                       {{"REDIS_URL", cluster.url()},
                        {"SSL_CERT_FILE", cluster.certificate()},
                        {"SESSION_TTL", "1000"}}};
  Load load{server.url()};
  EXPECT_TRUE(load.goes_on());
  cluster.fail_over(cluster.primary_of(cluster.slot_of(load.users().front().key())));
  EXPECT_TRUE(load.goes_on());
  load.stop();
  for (const auto& user : load.users()) {
    EXPECT_EQ(user.unexpected + user.failed, 0) << user.name;
    EXPECT_EQ(cluster.count_of(user.key()), user.counted) << user.name;
  }
}

}  // namespace sessions::test

// Three instances behind nginx, as ./tutorial run 5 starts them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <future>
#include <regex>
#include <set>
#include <thread>

#include "step_test.hpp"

namespace sessions::test {
namespace {

constexpr const char* kAnonymous = "You are not logged in";

/// ./tutorial run 5 --instances 3, with all that it starts.
class Instances {
 public:
  explicit Instances(const std::string& store)
      : driver_{{SESSIONS_DRIVER, "run", "5", "--instances", "3", "--store", store, "--port",
                 std::to_string(free_port())}} {
    if (!wait_until([this] { return announces_nginx() || driver_.exit_code(); }, seconds{60}) ||
        driver_.exit_code()) {
      throw std::runtime_error{"the instances do not start\n" + driver_.log()};
    }
    const auto output = driver_.standard_output();
    const std::regex instance{"instance \\d+: (\\S+), process (\\d+)"};
    for (std::sregex_iterator found{output.begin(), output.end(), instance}, end; found != end;
         ++found) {
      urls_.push_back((*found)[1]);
      processes_.push_back(std::stoi((*found)[2]));
    }
    std::smatch nginx;
    std::regex_search(output, nginx, std::regex{"step5_sessionstore listening on (\\S+)"});
    url_ = nginx[1];
  }
  /// The driver stops what it has started.
  ~Instances() {
    driver_.signal(SIGTERM);
    driver_.wait_for_exit(seconds{30});
  }
  Instances(const Instances&) = delete;
  Instances& operator=(const Instances&) = delete;

  /// nginx'
  const std::string& url() const { return url_; }
  /// One instance's, without nginx.
  const std::string& url(std::size_t instance) const { return urls_.at(instance); }
  void kill(std::size_t instance) const { ::kill(processes_.at(instance), SIGKILL); }
  std::size_t size() const { return urls_.size(); }

 private:
  bool announces_nginx() const {
    return driver_.standard_output().find("step5_sessionstore listening on") != std::string::npos;
  }

  Process driver_;
  std::string url_;
  std::vector<std::string> urls_;
  std::vector<int> processes_;
};

class Step5Nginx : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisProcess::is_installed()) {
      skip_for_lack_of("redis-server");
    } else if (!is_installed("nginx")) {
      skip_for_lack_of("nginx");
    }
  }
};

TEST_F(Step5Nginx, LoginOnOneInstanceIsSeenOnAnotherAndEndedOnTheThird) {
  const Instances instances{"redis"};
  ASSERT_EQ(instances.size(), 3U);
  HttpClient first{instances.url(0)};
  const auto cookie = cookie_header("session", logged_in_cookie(first, "alice"));
  EXPECT_EQ(visits_in(first.get("/", {cookie})), 1);
  EXPECT_EQ(visits_in(HttpClient{instances.url(1)}.get("/", {cookie})), 2);
  EXPECT_EQ(HttpClient{instances.url(2)}.get("/logout", {cookie}).status, 302);
  EXPECT_TRUE(first.get("/", {cookie}).contains(kAnonymous));
}

TEST_F(Step5Nginx, CounterGoesOnWhicheverInstanceAnswers) {
  const Instances instances{"redis"};
  HttpClient browser{instances.url()};
  browser.keep_cookies();
  const Headers own_page{{"Origin", instances.url()}};
  EXPECT_EQ(browser.post("/login", "username=alice", own_page).status, 302);
  for (int visit = 1; visit <= 9; ++visit) {
    EXPECT_EQ(visits_in(browser.get("/")), visit);
  }
  EXPECT_EQ(browser.post("/logout", "", {{"Origin", "http://evil.example"}}).status, 403);
  EXPECT_EQ(browser.post("/logout-everywhere", "", own_page).status, 302);
  EXPECT_TRUE(browser.get("/").contains(kAnonymous));
}

TEST_F(Step5Nginx, MemoryOfOneInstanceIsUnknownToTheOthers) {
  const Instances instances{"memory"};
  HttpClient first{instances.url(0)};
  const auto cookie = cookie_header("session", logged_in_cookie(first, "alice"));
  EXPECT_EQ(visits_in(first.get("/", {cookie})), 1);
  EXPECT_TRUE(HttpClient{instances.url(1)}.get("/", {cookie}).contains(kAnonymous));
}

TEST_F(Step5Nginx, KilledInstanceLosesNoAcknowledgedVisit) {
  constexpr int kBrowsers = 8;
  const Instances instances{"redis"};
  HttpClient client{instances.url()};
  const auto cookie = cookie_header("session", logged_in_cookie(client, "alice"));
  std::atomic<bool> stopping = false;
  std::atomic<int> answered = 0;
  std::atomic<int> failed = 0;
  std::vector<std::future<std::vector<int>>> browsers;
  for (int i = 0; i < kBrowsers; ++i) {
    browsers.push_back(std::async(std::launch::async, [&] {
      HttpClient browser{instances.url()};
      std::vector<int> visits;
      while (!stopping) {
        const auto page = browser.get("/", {cookie});
        if (page.status == 200) {
          visits.push_back(visits_in(page));
          ++answered;
        } else {
          ++failed;
        }
      }
      return visits;
    }));
  }
  EXPECT_TRUE(wait_until([&] { return answered > 500; }));
  instances.kill(1);
  const int before = answered;
  EXPECT_TRUE(wait_until([&] { return answered > before + 1000; }));
  stopping = true;
  std::set<int> acknowledged;
  int total = 0;
  for (auto& browser : browsers) {
    for (const int visit : browser.get()) {
      EXPECT_GT(visit, 0);
      acknowledged.insert(visit);
      ++total;
    }
  }
  // Each browser has one request under way at a time, so no more can fail with the instance.
  EXPECT_LE(failed, kBrowsers);
  EXPECT_EQ(static_cast<int>(acknowledged.size()), total);
  const int next = visits_in(client.get("/", {cookie}));
  EXPECT_GT(next, *acknowledged.rbegin());
  EXPECT_LE(next, total + failed + 1);
}

}  // namespace
}  // namespace sessions::test

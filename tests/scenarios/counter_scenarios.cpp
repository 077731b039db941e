#include "counter_scenarios.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <numeric>
#include <thread>

#include "rule.hpp"

namespace sessions::test {

using testing::HasSubstr;

std::span<const Scenario<CounterScenarios>> CounterScenarios::counting() {
  using Self = CounterScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"VisitsAreCountedFromOne", &Self::visits_are_counted_from_one},
      Scenario<Self>{"UsersAreCountedApart", &Self::users_are_counted_apart},
      Scenario<Self>{"TwoBrowsersOfOneUserShareCounter",
                     &Self::two_browsers_of_one_user_share_counter},
      Scenario<Self>{"CounterSurvivesLogout", &Self::counter_survives_logout},
      Scenario<Self>{"HeadCountsAsVisit", &Self::head_counts_as_visit},
      Scenario<Self>{"AnonymousVisitsAndRefusedRequestsAreNotCounted",
                     &Self::anonymous_visits_and_refused_requests_are_not_counted},
      Scenario<Self>{"ParallelVisitsAreEachCountedOnce",
                     &Self::parallel_visits_are_each_counted_once},
  };
  return kAll;
}

void CounterScenarios::visits_are_counted_from_one() {
  const Rule rule{"counter.visits"};
  const auto name = unique_name("anna");
  const auto client = logged_in(name);
  for (int visit = 1; visit <= 5; ++visit) {
    const auto page = client->get("/");
    EXPECT_THAT(page.body, HasSubstr("Logged in as " + name));
    EXPECT_EQ(visits_in(page), visit);
  }
}

void CounterScenarios::users_are_counted_apart() {
  const Rule rule{"counter.users-apart"};
  const auto one = logged_in(unique_name("bert"));
  const auto other = logged_in(unique_name("bert"));
  EXPECT_EQ(visits_in(one->get("/")), 1);
  EXPECT_EQ(visits_in(one->get("/")), 2);
  EXPECT_EQ(visits_in(other->get("/")), 1);
}

void CounterScenarios::two_browsers_of_one_user_share_counter() {
  const Rule rule{"counter.shared"};
  const auto name = unique_name("clara");
  const auto one = logged_in(name);
  const auto other = logged_in(name);
  EXPECT_EQ(visits_in(one->get("/")), 1);
  EXPECT_EQ(visits_in(other->get("/")), 2);
}

void CounterScenarios::counter_survives_logout() {
  const Rule rule{"counter.shared"};
  const auto name = unique_name("dora");
  const auto client = logged_in(name);
  EXPECT_EQ(visits_in(client->get("/")), 1);
  client->get("/logout");
  EXPECT_EQ(visits_in(client->get("/")), -1);
  client->post("/login", "username=" + name);
  EXPECT_EQ(visits_in(client->get("/")), 2);
}

void CounterScenarios::head_counts_as_visit() {
  const Rule rule{"counter.visits-only"};
  const auto client = logged_in(unique_name("emil"));
  EXPECT_EQ(client->request("HEAD", "/").status, 200);
  EXPECT_EQ(visits_in(client->get("/")), 2);
}

void CounterScenarios::anonymous_visits_and_refused_requests_are_not_counted() {
  const Rule rule{"counter.visits-only"};
  const auto client = logged_in(unique_name("frida"));
  EXPECT_EQ(visits_in(client->get("/")), 1);
  HttpClient{url()}.get("/");
  client->post("/", "x=y");
  client->get("/nowhere");
  client->get("/login");
  client->request("OPTIONS", "/");
  EXPECT_EQ(visits_in(client->get("/")), 2);
}

void CounterScenarios::parallel_visits_are_each_counted_once() {
  const Rule rule{"counter.atomic"};
  constexpr int kVisits = 200;
  constexpr int kClients = 20;
  HttpClient login{url()};
  const auto cookie = cookie_header("session", logged_in_cookie(login, unique_name("gustav")));
  const auto address = url();
  std::mutex mutex;
  std::vector<int> counts;
  {
    std::vector<std::jthread> clients;
    for (int number = 0; number < kClients; ++number) {
      clients.emplace_back([&] {
        HttpClient client{address};
        for (int visit = 0; visit < kVisits / kClients; ++visit) {
          const int count = visits_in(client.get("/", {cookie}));
          const std::lock_guard lock{mutex};
          counts.push_back(count);
        }
      });
    }
  }
  std::vector<int> expected(kVisits);
  std::iota(expected.begin(), expected.end(), 1);
  std::ranges::sort(counts);
  EXPECT_EQ(counts, expected);
}

}  // namespace sessions::test

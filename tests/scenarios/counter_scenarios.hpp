// What steps 2 and 3 promise about visits: they are counted.
#pragma once

#include <span>

#include "http_scenarios.hpp"

namespace sessions::test {

/// Over HTTP only.
class CounterScenarios : public HttpScenarios {
 public:
  static std::span<const Scenario<CounterScenarios>> counting();

 protected:
  using HttpScenarios::HttpScenarios;

 private:
  void visits_are_counted_from_one();
  void users_are_counted_apart();
  void two_browsers_of_one_user_share_counter();
  void counter_survives_logout();
  void head_counts_as_visit();
  void anonymous_visits_and_refused_requests_are_not_counted();
  void parallel_visits_are_each_counted_once();
};

}  // namespace sessions::test

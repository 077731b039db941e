// Expire a minute after the first visit.

#include <fmt/format.h>

#include "counter_check.hpp"

namespace {

using namespace sessions::exercise;
using sessions::test::wait_until;

CHECK_TASK_OF(CounterCheck, 1, FirstVisitGivesAMinute) {
  auto& store = redis();
  const auto url = start_server({{"REDIS_URL", store.url()}}).url();
  const auto name = random_name("anna");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  expect_number(browser.get("/"), "Visits: ", 1);
  step("Ask Redis when the counter expires: PTTL user:" + name);
  if (const int left = remaining(name); left <= 50000 || left > 60000) {
    differs(in_words(60000), in_words(left), left == -1 ? "never-shorter" : "");
  }
}

CHECK_TASK_OF(CounterCheck, 2, TimeFallsAcrossVisits) {
  auto& store = redis();
  const auto url = start_server({{"REDIS_URL", store.url()}}).url();
  const auto name = random_name("bert");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  browser.get("/");
  const int left_before = random_number(20, 30);
  step(fmt::format("Time passes: PEXPIRE user:{} {}", name, left_before * 1000));
  store.command({"PEXPIRE", "user:" + name, std::to_string(left_before * 1000)});
  for (int visit = 2; visit <= 4; ++visit) {
    expect_number(browser.get("/"), "Visits: ", visit);
    if (const int left = remaining(name); left > left_before * 1000 || left < 0) {
      differs("a time that no visit makes longer", in_words(left), "minute-after-the-last-visit");
    }
  }
}

CHECK_TASK_OF(CounterCheck, 2, ActiveUserStartsAgainAfterTheSetTime) {
  auto& store = redis();
  const auto url = start_server({{"REDIS_URL", store.url()}, {"SESSION_TTL", "2"}}).url();
  const auto name = random_name("cleo");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  step("With SESSION_TTL=2: GET / five times a second until the counter starts again");
  int last = 0;
  const bool starts_again = wait_until(
      [&] {
        std::this_thread::sleep_for(std::chrono::milliseconds{200});
        const int number = number_after(browser.quietly("GET", "/"), "Visits: ");
        const bool is_less = number < last;
        last = number;
        return is_less;
      },
      std::chrono::seconds{6});
  if (!starts_again) {
    differs("a counter that starts again after 2 seconds", "one that goes on for 6",
            remaining(name) > 10000 ? "setting-ignored" : "minute-after-the-last-visit");
  }
  expect_number(browser.get("/"), "Visits: ", 2);
}

CHECK_TASK_OF(CounterCheck, 3, ServerThatDiesLeavesNoCounterForEver) {
  expect_no_counter_for_ever("dora", {}, "first-two-commands", "first-two-commands");
}

CHECK_TASK_OF(CounterCheck, 3, CounterOfStepTwoGetsAnEndToo) {
  auto& store = redis();
  const auto url = start_server({{"REDIS_URL", store.url()}}).url();
  const auto name = random_name("emil");
  step("Step 2 has left a counter without expiry: HSET user:" + name + " visits 7");
  store.command({"HSET", "user:" + name, "visits", "7"});
  Browser browser{journal(), name, url};
  browser.log_in(name);
  expect_number(browser.get("/"), "Visits: ", 8);
  if (const int left = remaining(name); left < 0) {
    differs(in_words(60000), in_words(left), "first-visit-only");
  }
}

}  // namespace

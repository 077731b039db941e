// Find the bug: EXPIRE before the first write does nothing.

#include <fmt/format.h>

#include "counter_check.hpp"

namespace {

using namespace sessions::exercise;
using sessions::test::RedisProcess;

bool has_script(const RedisProcess& redis) {
  return redis.command({"INFO", "commandstats"}).value_or("").find("cmdstat_eval:") !=
         std::string::npos;
}

CHECK_TASK_OF(CounterCheck, 1, OneVisitExpires) {
  const int lifetime = random_number(100, 900);
  auto& store = redis();
  const auto url =
      start_server({{"REDIS_URL", store.url()}, {"SESSION_TTL", std::to_string(lifetime)}}).url();
  const auto name = random_name("anna");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  expect_number(browser.get("/"), "Visits: ", 1);
  step("Ask Redis when the counter expires: PTTL user:" + name);
  const int left = remaining(name);
  if (left <= (lifetime - 20) * 1000 || left > lifetime * 1000) {
    differs(fmt::format("a counter that expires in {} seconds", lifetime), in_words(left),
            has_script(store) ? "script-in-the-old-order" : "");
  }
}

CHECK_TASK_OF(CounterCheck, 2, EachVisitBeginsTheTimeAnew) {
  auto& store = redis();
  const auto url = start_server({{"REDIS_URL", store.url()}, {"SESSION_TTL", "500"}}).url();
  const auto name = random_name("bert");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  for (int visit = 1; visit <= 3; ++visit) {
    expect_number(browser.get("/"), "Visits: ", visit);
    const int left = remaining(name);
    if (left <= 480000) {
      differs("a counter that expires in 500 seconds", in_words(left), "expires-once");
    }
    step("Much time passes: PEXPIRE user:" + name + " 60000");
    store.command({"PEXPIRE", "user:" + name, "60000"});
  }
}

CHECK_TASK_OF(CounterCheck, 3, ServerThatDiesLeavesNoCounterForEver) {
  expect_no_counter_for_ever("cleo", {{"SESSION_TTL", "500"}}, "two-commands", "expiry-twice");
}

}  // namespace

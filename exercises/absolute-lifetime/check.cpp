// Expire a minute after the first visit.

#include <fmt/format.h>

#include <csignal>
#include <future>

#include "exercise_check.hpp"
#include "hold_proxy.hpp"

namespace {

using namespace sessions::exercise;
using sessions::test::HoldProxy;
using sessions::test::RedisProcess;
using sessions::test::wait_until;

/// Milliseconds until the user's counter expires; -1 if never, -2 if there is none.
int remaining(const RedisProcess& redis, const std::string& name) {
  return std::stoi(redis.command({"PTTL", "user:" + name}).value_or("-2"));
}

std::string in_words(int milliseconds) {
  return milliseconds == -1   ? "a counter that never expires (PTTL -1)"
         : milliseconds == -2 ? "no counter (PTTL -2)"
                              : fmt::format("a counter that expires in about {} seconds",
                                            (milliseconds + 5000) / 10000 * 10);
}

CHECK_TASK(1, FirstVisitGivesAMinute) {
  auto& store = redis();
  const auto url = start_server({{"REDIS_URL", store.url()}}).url();
  const auto name = random_name("anna");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  expect_number(browser.get("/"), "Visits: ", 1);
  step("Ask Redis when the counter expires: PTTL user:" + name);
  if (const int left = remaining(store, name); left <= 50000 || left > 60000) {
    differs(in_words(60000), in_words(left), left == -1 ? "never-shorter" : "");
  }
}

CHECK_TASK(2, TimeFallsAcrossVisits) {
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
    if (const int left = remaining(store, name); left > left_before * 1000 || left < 0) {
      differs("a time that no visit makes longer", in_words(left), "minute-after-the-last-visit");
    }
  }
}

CHECK_TASK(2, ActiveUserStartsAgainAfterTheSetTime) {
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
            remaining(store, name) > 10000 ? "setting-ignored" : "minute-after-the-last-visit");
  }
  expect_number(browser.get("/"), "Visits: ", 2);
}

CHECK_TASK(3, ServerThatDiesLeavesNoCounterForEver) {
  for (int commands = 0; commands < 4; ++commands) {
    auto& store = redis();
    HoldProxy network{store.port(), HoldProxy::Held::kReplies};
    auto& server =
        start_server({{"REDIS_URL", fmt::format("redis://127.0.0.1:{}", network.port())}});
    Browser other{journal(), "somebody else", server.url()};
    const auto name = random_name("dora");
    other.quietly("POST", "/login", {}, "username=somebody-else");
    other.quietly("GET", "/");
    Browser browser{journal(), name, server.url()};
    browser.log_in(name);
    network.hold(commands);
    auto visit = std::async(std::launch::async, [&] {
      try {
        browser.quietly("GET", "/");
      } catch (const Failed&) {
        return;  // the server was killed
      }
    });
    wait_until([&] {
      return network.holds_bytes() ||
             visit.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
    });
    const bool is_over = !network.holds_bytes();
    step(fmt::format(
        "{}: GET /, and the server is killed before it sees the reply to its command {}", name,
        commands + 1));
    server.program().signal(SIGKILL);
    visit.wait();
    network.release();
    if (remaining(store, name) == -1) {
      differs("no counter that never expires, whenever the server dies", in_words(-1),
              "first-two-commands");
    }
    if (is_over) {
      return;
    }
  }
}

CHECK_TASK(3, CounterOfStepTwoGetsAnEndToo) {
  auto& store = redis();
  const auto url = start_server({{"REDIS_URL", store.url()}}).url();
  const auto name = random_name("emil");
  step("Step 2 has left a counter without expiry: HSET user:" + name + " visits 7");
  store.command({"HSET", "user:" + name, "visits", "7"});
  Browser browser{journal(), name, url};
  browser.log_in(name);
  expect_number(browser.get("/"), "Visits: ", 8);
  if (const int left = remaining(store, name); left < 0) {
    differs(in_words(60000), in_words(left), "first-visit-only");
  }
}

}  // namespace

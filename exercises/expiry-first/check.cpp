// Find the bug: EXPIRE before the first write does nothing.

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
                              : "a counter that expires at another time";
}

bool has_script(const RedisProcess& redis) {
  return redis.command({"INFO", "commandstats"}).value_or("").find("cmdstat_eval:") !=
         std::string::npos;
}

CHECK_TASK(1, OneVisitExpires) {
  const int lifetime = random_number(100, 900);
  auto& store = redis();
  const auto url =
      start_server({{"REDIS_URL", store.url()}, {"SESSION_TTL", std::to_string(lifetime)}}).url();
  const auto name = random_name("anna");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  expect_number(browser.get("/"), "Visits: ", 1);
  step("Ask Redis when the counter expires: PTTL user:" + name);
  const int left = remaining(store, name);
  if (left <= (lifetime - 20) * 1000 || left > lifetime * 1000) {
    differs(fmt::format("a counter that expires in {} seconds", lifetime), in_words(left),
            has_script(store) ? "script-in-the-old-order" : "");
  }
}

CHECK_TASK(2, EachVisitBeginsTheTimeAnew) {
  auto& store = redis();
  const auto url = start_server({{"REDIS_URL", store.url()}, {"SESSION_TTL", "500"}}).url();
  const auto name = random_name("bert");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  for (int visit = 1; visit <= 3; ++visit) {
    expect_number(browser.get("/"), "Visits: ", visit);
    const int left = remaining(store, name);
    if (left <= 480000) {
      differs("a counter that expires in 500 seconds", in_words(left), "expires-once");
    }
    step("Much time passes: PEXPIRE user:" + name + " 60000");
    store.command({"PEXPIRE", "user:" + name, "60000"});
  }
}

// Whatever the server sends, it dies after the first, the second, the third of its commands.
CHECK_TASK(3, ServerThatDiesLeavesNoCounterForEver) {
  for (int commands = 0; commands < 4; ++commands) {
    auto& store = redis();
    HoldProxy network{store.port(), HoldProxy::Held::kReplies};
    auto& server = start_server({{"REDIS_URL", fmt::format("redis://127.0.0.1:{}", network.port())},
                                 {"SESSION_TTL", "500"}});
    Browser other{journal(), "somebody else", server.url()};
    const auto name = random_name("cleo");
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
    const bool has_command = wait_until([&] {
      return network.holds_bytes() ||
             visit.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
    });
    const bool is_over = !network.holds_bytes() || !has_command;
    step(fmt::format(
        "{}: GET /, and the server is killed before it sees the reply to its command {}", name,
        commands + 1));
    server.program().signal(SIGKILL);
    visit.wait();
    network.release();
    if (remaining(store, name) == -1) {
      differs("no counter that never expires, whenever the server dies", in_words(-1),
              commands == 0 ? "two-commands" : "expiry-twice");
    }
    if (is_over) {
      return;
    }
  }
}

}  // namespace

#include "counter_check.hpp"

#include <fmt/format.h>

#include <csignal>
#include <future>

#include "hold_proxy.hpp"

namespace sessions::exercise {

using test::HoldProxy;

int CounterCheck::remaining(const std::string& name) {
  return std::stoi(redis().command({"PTTL", "user:" + name}).value_or("-2"));
}

std::string CounterCheck::in_words(int milliseconds) {
  return milliseconds == -1   ? "a counter that never expires (PTTL -1)"
         : milliseconds == -2 ? "no counter (PTTL -2)"
                              : fmt::format("a counter that expires in about {} seconds",
                                            (milliseconds + 5000) / 10000 * 10);
}

void CounterCheck::expect_no_counter_for_ever(const std::string& user_prefix,
                                              test::Environment environment,
                                              std::string_view wrong_after_first,
                                              std::string_view wrong_after_later) {
  constexpr int kMostCommands = 4;
  for (int commands = 0; commands < kMostCommands; ++commands) {
    HoldProxy network{redis().port(), HoldProxy::Held::kReplies};
    environment["REDIS_URL"] = fmt::format("redis://127.0.0.1:{}", network.port());
    auto& server = start_server(environment);
    Browser other{journal(), "somebody else", server.url()};
    const auto name = random_name(user_prefix);
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
    test::wait_until([&] {
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
    if (remaining(name) == -1) {
      differs("no counter that never expires, whenever the server dies", in_words(-1),
              commands == 0 ? wrong_after_first : wrong_after_later);
    }
    if (is_over) {
      return;
    }
  }
}

}  // namespace sessions::exercise

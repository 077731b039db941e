// Find the bug: two visits at the same time count as one.

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <mutex>

#include "exercise_check.hpp"
#include "hold_proxy.hpp"

namespace {

using namespace sessions::exercise;
using sessions::test::HoldProxy;
using sessions::test::HttpClient;
using sessions::test::wait_until;

CHECK_TASK(1, OneServerCountsParallelVisits) {
  constexpr int kBrowsers = 10;
  constexpr int kVisits = 20;
  const auto url = start_server({{"REDIS_URL", redis().url()}}).url();
  const auto name = random_name("anna");
  Browser browser{journal(), name, url};
  const auto cookie = browser.log_in(name).cookie("session").value_or("");
  step(fmt::format("{} browsers with this cookie at the same time: GET /, {} times each", kBrowsers,
                   kVisits));
  std::mutex mutex;
  std::vector<int> numbers;
  in_parallel(kBrowsers, [&](int) {
    HttpClient client{url};
    for (int visit = 0; visit < kVisits; ++visit) {
      const int number =
          number_after(client.get("/", {{"Cookie", "session=" + cookie}}), "Visits: ");
      const std::lock_guard lock{mutex};
      numbers.push_back(number);
    }
  });
  const auto page = browser.get("/");
  const int all = kBrowsers * kVisits + 1;
  if (const int came = number_after(page, "Visits: "); came > 0 && came < all) {
    const bool has_script =
        redis().command({"INFO", "commandstats"}).value_or("").find("cmdstat_eval:") !=
        std::string::npos;
    differs(fmt::format("Visits: {}", all), "a smaller number",
            has_script ? "transaction-around-the-write" : "");
  }
  expect_number(page, "Visits: ", all);
  std::ranges::sort(numbers);
  if (std::ranges::adjacent_find(numbers) != numbers.end()) {
    differs("a number of its own on each page", "pages that show the same number",
            "shows-what-it-read");
  }
}

// The interleaving is forced: Redis has executed the slow server's first command, whichever it is,
// and the reply waits in a proxy while the other server counts.
CHECK_TASK(2, TwoServersCountApart) {
  auto& store = redis();
  HoldProxy slow{store.port(), HoldProxy::Held::kReplies};
  const auto slow_url =
      start_server({{"REDIS_URL", fmt::format("redis://127.0.0.1:{}", slow.port())}}).url();
  const auto fast_url = start_server({{"REDIS_URL", store.url()}}).url();
  const auto name = random_name("bert");
  step("Start two servers on one Redis: A behind a slow network, B beside it");
  Browser at_a{journal(), "at A", slow_url};
  Browser at_b{journal(), "at B", fast_url};
  at_a.log_in(name);
  at_b.log_in(name);
  expect_number(at_a.get("/"), "Visits: ", 1);
  const int visits = random_number(3, 6);
  slow.hold();
  step("at A: GET /, and Redis' next reply to A stays in the network");
  auto late = std::async(std::launch::async, [&at_a] { return at_a.quietly("GET", "/"); });
  if (!wait_until([&] { return slow.holds_bytes(); })) {
    slow.release();
    differs("a command from A to Redis", "none");
  }
  step(fmt::format("at B: GET /, {} times", visits));
  for (int visit = 0; visit < visits; ++visit) {
    at_b.quietly("GET", "/");
  }
  step("The reply arrives at A, and its page is made");
  slow.release();
  late.get();
  const auto page = at_b.get("/");
  expect_number(page, "Visits: ", visits + 3, "lock-in-the-process");
}

}  // namespace

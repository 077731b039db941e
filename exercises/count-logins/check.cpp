// Count the logins apart from the visits.

#include <fmt/format.h>

#include "exercise_check.hpp"

namespace {

using namespace sessions::exercise;
using sessions::test::encoded;
using sessions::test::HttpClient;

CHECK_TASK(1, EachLoginCounts) {
  const auto url = start_server({{"REDIS_URL", redis().url()}}).url();
  const auto name = random_name("anna");
  const int logins = random_number(2, 5);
  for (int login = 1; login <= logins; ++login) {
    Browser browser{journal(), fmt::format("{}'s browser {}", name, login), url};
    browser.log_in(name);
    expect_number(browser.get("/"), "Logins: ", login);
  }
}

CHECK_TASK(1, UsersAreCountedApart) {
  const auto url = start_server({{"REDIS_URL", redis().url()}}).url();
  const auto one = random_name("bert");
  const auto other = random_name("cleo");
  Browser first{journal(), one, url};
  Browser second{journal(), other, url};
  first.log_in(one);
  second.log_in(other);
  expect_number(first.get("/"), "Logins: ", 1, "one-counter");
  expect_number(second.get("/"), "Logins: ", 1, "one-counter");
}

CHECK_TASK(1, CookieFromBeforeTheFirstCountedLoginShowsNone) {
  const auto url = start_server({{"REDIS_URL", redis().url()}}).url();
  const auto name = random_name("carl");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  step("Redis loses everything; the cookie is still good");
  redis().command({"FLUSHALL"});
  const auto page = browser.get("/");
  expect_status(page, 200, page.status == 500 ? "no-login-yet" : "");
  expect_number(page, "Logins: ", 0, "counts-visits");
}

CHECK_TASK(2, VisitsAreNoLogins) {
  const auto url = start_server({{"REDIS_URL", redis().url()}}).url();
  const auto name = random_name("dora");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  const int visits = random_number(3, 6);
  for (int visit = 1; visit < visits; ++visit) {
    browser.get("/");
  }
  const auto page = browser.get("/");
  expect_text(page, fmt::format("Visits: {}", visits));
  expect_number(page, "Logins: ", 1, "counts-visits");
}

CHECK_TASK(2, LookingAtTheFormIsNoLogin) {
  const auto url = start_server({{"REDIS_URL", redis().url()}}).url();
  const auto name = random_name("emil");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  browser.get("/login");
  browser.get("/login");
  expect_number(browser.get("/"), "Logins: ", 1, "counts-form");
}

CHECK_TASK(2, RefusedLoginIsNoLogin) {
  const auto url = start_server({{"REDIS_URL", redis().url()}}).url();
  const auto name = random_name("fred");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  expect_status(browser.post("/login", "username=" + encoded(name + "\n")), 400);
  expect_status(browser.post("/login", "name=" + name), 400);
  expect_number(browser.get("/"), "Logins: ", 1, "counts-refused");
  step("Look into Redis: which keys are there?");
  const auto keys = redis().command({"KEYS", "*"}).value_or("");
  if (keys != fmt::format("user:{}\n", name)) {
    differs(fmt::format("user:{}", name), keys, "counts-refused");
  }
}

CHECK_TASK(3, TwentyParallelLoginsCountTwenty) {
  constexpr int kLogins = 20;
  const auto url = start_server({{"REDIS_URL", redis().url()}}).url();
  const auto name = random_name("gina");
  step(fmt::format("{} browsers log in as {} at the same time, five times each", kLogins, name));
  journal().sent("POST /login\n\nusername=" + name);
  in_parallel(kLogins, [&](int) {
    for (int login = 0; login < 5; ++login) {
      HttpClient{url}.post("/login", "username=" + name);
    }
  });
  Browser browser{journal(), name, url};
  browser.log_in(name);
  const auto page = browser.get("/");
  if (const int came = number_after(page, "Logins: "); came > 0 && came < 5 * kLogins + 1) {
    differs(fmt::format("Logins: {}", 5 * kLogins + 1), "a smaller number", "read-then-write");
  }
  expect_number(page, "Logins: ", 5 * kLogins + 1);
}

}  // namespace

// Show until when the cookie counts.

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "exercise_check.hpp"
#include "server_process.hpp"
#include "token.hpp"

namespace {

using namespace sessions::exercise;
using sessions::test::base64url;
using sessions::test::kTestKey;
using sessions::test::signed_token;

constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";
constexpr std::int64_t kDay = 24 * 60 * 60;
constexpr std::int64_t kFirstOf2040 = 2208988800;  // seconds since 1970

std::string payload(const std::string& name, std::int64_t issued, std::int64_t expires) {
  return fmt::format(R"({{"aud":"cpp-sessions/username","iat":{},"exp":{},"username":"{}"}})",
                     issued, expires, name);
}

std::string date(std::int64_t time) { return fmt::format("{:%F %T} UTC", fmt::gmtime(time)); }

CHECK_TASK(1, PageShowsWhatTheCookieSays) {
  // A time zone with a fixed distance: who shows local time shows five hours less.
  const auto url = start_server({{"TZ", "TEST5"}}).url();
  for (int cookie = 1; cookie <= 3; ++cookie) {
    const auto name = random_name("anna");
    const auto issued = 1600000000 + random_number(0, 99999999);
    const auto expires = kFirstOf2040 + random_number(0, 999999999);
    Browser browser{journal(), name, url};
    step(fmt::format("{} has a cookie with exp {}, that is {}", name, expires, date(expires)));
    const auto page = browser.quietly(
        "GET", "/",
        {{"Cookie", "session=" + signed_token(kHeader, payload(name, issued, expires), kTestKey)}});
    journal().sent(
        fmt::format("GET /\nCookie: session=(signed: {})", payload(name, issued, expires)));
    expect_text(page, "Logged in as " + name);
    const auto expected = fmt::format("until {}", date(expires));
    if (page.contains("until 20") && !page.contains("until 204") && !page.contains("until 205") &&
        !page.contains("until 206") && !page.contains("until 207") &&
        !page.contains(date(issued + 31 * kDay).substr(0, 19))) {
      differs(expected, "a time that is not in this cookie", "invents-it");
    }
    expect_text(page, expected,
                page.contains(date(expires - 5 * 60 * 60).substr(0, 19)) ? "local-time"
                : page.contains(date(issued + 31 * kDay).substr(0, 19))  ? "counts-from-iat"
                                                                         : "");
  }
}

CHECK_TASK(1, FreshCookieCountsForAMonth) {
  const auto url = start_server().url();
  const auto name = random_name("bert");
  Browser browser{journal(), name, url};
  const auto before = sessions::test::now_in_seconds() + 31 * kDay;
  browser.log_in(name);
  const auto page = browser.get("/");
  for (auto time = before; time <= sessions::test::now_in_seconds() + 31 * kDay; ++time) {
    if (page.contains("until " + date(time))) {
      return;
    }
  }
  differs("until (31 days from now)", page_text(page));
}

CHECK_TASK(2, UnsignedCookieIsNotRead) {
  const auto url = start_server().url();
  const auto name = random_name("cleo");
  const auto expires = kFirstOf2040 + random_number(0, 999999999);
  const auto text = payload(name, 1600000000, expires);
  Browser browser{journal(), "a forger", url};
  for (const auto& token :
       {signed_token(kHeader, text, "not the key of this server, but as long"),
        base64url(kHeader) + "." + base64url(text) + ".", "x." + base64url(text) + ".x"}) {
    step("a forger comes with a cookie that the server has not signed");
    const auto page = browser.quietly("GET", "/", {{"Cookie", "session=" + token}});
    journal().sent(fmt::format("GET /\nCookie: session=(not signed: {})", text));
    expect_text(page, "You are not logged in");
    expect_no_text(page, date(expires).substr(0, 10), "parses-before-verifying");
  }
}

CHECK_TASK(2, NobodyWithoutACookieSeesADate) {
  const auto url = start_server().url();
  Browser browser{journal(), "a stranger", url};
  const auto page = browser.get("/");
  expect_text(page, "You are not logged in");
  expect_no_text(page, "until ");
}

}  // namespace

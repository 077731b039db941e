// Find the bug: the audience is not checked.

#include <fmt/format.h>

#include "exercise_check.hpp"
#include "server_process.hpp"
#include "token.hpp"

namespace {

using namespace sessions::exercise;
using sessions::test::kTestKey;
using sessions::test::now_in_seconds;
using sessions::test::signed_token;

constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";

/// A token that is good in all but, perhaps, its audience.
std::string token_for(const std::string& audience, const std::string& name,
                      std::string_view key = kTestKey) {
  const auto now = now_in_seconds();
  return signed_token(kHeader,
                      fmt::format(R"({{"aud":"{}","iat":{},"exp":{},"username":"{}"}})", audience,
                                  now, now + 1000, name),
                      key);
}

CHECK_TASK(1, TokenOfAnotherPurposeIsRefused) {
  const auto url = start_server().url();
  for (const std::string audience : {"", "newsletter", "cpp-sessions/sid",
                                     "cpp-sessions/username/reset", "x-cpp-sessions/username"}) {
    const auto name = random_name("anna");
    step(fmt::format(
        "{} has a token that was signed with the same key for \"{}\", and uses it as cookie", name,
        audience));
    Browser browser{journal(), name, url};
    const auto page =
        browser.quietly("GET", "/", {{"Cookie", "session=" + token_for(audience, name)}});
    journal().sent(fmt::format("GET /\nCookie: session=(signed, aud \"{}\")", audience));
    if (page.contains("Logged in as")) {
      differs("You are not logged in", page_text(page),
              audience == "cpp-sessions/sid"              ? "any-of-ours"
              : audience == "cpp-sessions/username/reset" ? "begins-with"
              : audience == "newsletter"                  ? "asks-whether-there-is-one"
                                                          : "");
    }
  }
}

CHECK_TASK(2, OwnTokensGoOnCounting) {
  const auto url = start_server().url();
  const auto name = random_name("bert");
  Browser browser{journal(), name, url};
  browser.log_in(name);
  expect_text(browser.get("/"), "Logged in as " + name, "another-name");
}

CHECK_TASK(2, TokensOfAnOldKeyGoOnCounting) {
  const std::string old_key(40, 'o');
  const auto url = start_server({{"SECRET_KEY_FALLBACKS", old_key}}).url();
  const auto name = random_name("cleo");
  step("The key has been changed; the old one is in SECRET_KEY_FALLBACKS");
  Browser browser{journal(), name, url};
  const auto page = browser.quietly(
      "GET", "/", {{"Cookie", "session=" + token_for("cpp-sessions/username", name, old_key)}});
  journal().sent("GET /\nCookie: session=(signed with the old key, aud \"cpp-sessions/username\")");
  expect_text(page, "Logged in as " + name, "refuses-old-keys");
}

}  // namespace

// Attack: session fixation. The check is the victim.

#include <fmt/format.h>

#include "attack.hpp"

namespace {

using namespace sessions::exercise;

constexpr std::size_t kMaxCookie = 4096;  // bytes: more a browser does not keep

/// What the exploit wants the victim's browser to have as the cookie `session`: its first line.
std::string planted(const ExploitResult& result) {
  return result.output.substr(0, std::min(result.output.find_first_of("\r\n"), kMaxCookie));
}

/// The victim, whose browser has the planted cookie, logs in and looks at her page.
void be_the_victim(Journal& journal, const std::string& url, const std::string& name,
                   const std::string& cookie) {
  Browser browser{journal, name, url};
  journal.step(fmt::format("{}, in whose browser the cookie has been planted: POST /login", name));
  const auto login =
      browser.quietly("POST", "/login", {{"Cookie", "session=" + cookie}}, "username=" + name);
  if (login.status != 302) {
    throw NotChecked{fmt::format("the victim's login was answered with {}", login.status)};
  }
  const auto page = browser.get("/");
  if (!page.contains("Logged in as " + name)) {
    throw NotChecked{"the victim is not logged in"};
  }
}

CHECK_TASK(1, VictimsPageThroughThePlantedCookie) {
  const auto victim = random_name("anna");
  const auto url = start_server({{"SESSION_TTL", "600"}}, "WEAK").url();
  step("The attacker runs: exploit URL plant");
  const auto first = run_exploit(journal(), {url, "plant"});
  const auto cookie = planted(first);
  if (cookie.empty()) {
    differs("a line with the cookie's value", printed(first));
  }
  be_the_victim(journal(), url, victim, cookie);
  step("The attacker runs: exploit URL collect COOKIE, with the cookie that was planted");
  const auto second = run_exploit(journal(), {url, "collect", cookie});
  journal().sent("exploit URL collect COOKIE");
  if (second.output.find("Logged in as " + victim) == std::string::npos) {
    const bool is_own = second.output.find("Logged in as") != std::string::npos;
    differs(fmt::format("the victim's page: Logged in as {}", victim),
            is_own ? "another page" : printed(second),
            is_own ? "collects-with-a-new-login" : "invents-a-token");
  }
}

CHECK_TASK(2, NotOnTheRepairedServer) {
  const auto victim = random_name("bert");
  const auto url = start_server({{"SESSION_TTL", "600"}}, "REPAIRED").url();
  const auto cookie = planted(run_exploit(journal(), {url, "plant"}));
  be_the_victim(journal(), url, victim, cookie);
  step("The attacker runs: exploit URL collect COOKIE, with the cookie that was planted");
  const auto second = run_exploit(journal(), {url, "collect", cookie});
  journal().sent("exploit URL collect COOKIE");
  if (second.output.find(victim) != std::string::npos) {
    differs("not the victim's page", printed(second));
  }
  if (!second.exit_code || *second.exit_code == 0) {
    differs("an exit code other than 0: the attack has failed", printed(second), "claims-success");
  }
}

}  // namespace

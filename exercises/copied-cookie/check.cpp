// Attack: a copied cookie survives the logout.

#include <fmt/format.h>

#include "attack.hpp"

namespace {

using namespace sessions::exercise;

/// Runs the exploit with a cookie that was good until its owner logged out.
class Theft {
 public:
  Theft(Journal& journal, const std::string& server_url, const std::string& victim)
      : gate_{server_url} {
    Browser browser{journal, victim, server_url};
    const auto cookie = browser.log_in(victim).cookie("session");
    if (!cookie) {
      throw NotChecked{"the server sets no cookie"};
    }
    browser.get("/");
    journal.step("The thief copies the victim's cookie");
    browser.get("/logout");
    journal.step("The thief runs: exploit URL COOKIE. At this URL nobody can log in");
    result_ = run_exploit(journal, {gate_.url(), *cookie});
    journal.sent("exploit URL COOKIE");
  }

  const Gate& gate() const { return gate_; }
  const ExploitResult& result() const { return result_; }

 private:
  Gate gate_;
  ExploitResult result_;
};

CHECK_TASK(1, VictimsPageAfterTheLogout) {
  const auto victim = random_name("anna");
  const auto url = start_server({}, "WEAK").url();
  const Theft theft{journal(), url, victim};
  const auto page = fmt::format("Logged in as {}", victim);
  if (theft.gate().was_asked_to_log_in()) {
    differs("no login: the cookie is enough", printed(theft.result()), "logs-in-again");
  }
  if (!theft.gate().has_shown(page)) {
    const auto requests = theft.gate().requests();
    differs(fmt::format("the server shows the victim's page: {}", page), printed(theft.result()),
            requests.empty()                               ? "asks-nobody"
            : theft.gate().has_shown("You are not logged") ? "comes-without-the-cookie"
                                                           : "");
  }
  if (theft.result().output.find(page) == std::string::npos) {
    differs(fmt::format("the exploit prints the victim's page: {}", page), printed(theft.result()));
  }
}

CHECK_TASK(2, NothingFromStepFive) {
  const auto victim = random_name("bert");
  const auto url = start_server({{"SESSION_TTL", "600"}}, "REPAIRED").url();
  const Theft theft{journal(), url, victim};
  if (!theft.result().exit_code || *theft.result().exit_code == 0) {
    differs("an exploit that knows that it has failed: an exit code other than 0",
            printed(theft.result()), "claims-success");
  }
  if (theft.gate().has_shown(victim)) {
    differs("step 5 does not show the victim's page", printed(theft.result()));
  }
}

}  // namespace

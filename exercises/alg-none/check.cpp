// Attack: a server that accepts alg none.

#include <fmt/format.h>

#include "attack.hpp"
#include "server_process.hpp"
#include "token.hpp"

namespace {

using namespace sessions::exercise;

/// Runs the exploit: it gets the name that it has to come in as, and a good cookie of the attacker.
class Forgery {
 public:
  Forgery(Journal& journal, const std::string& server_url, const std::string& target,
          const std::string& attacker)
      : gate_{server_url} {
    Browser browser{journal, attacker, server_url};
    const auto cookie = browser.log_in(attacker).cookie("session");
    if (!cookie) {
      throw NotChecked{"the server sets no cookie"};
    }
    journal.step(
        fmt::format("{} runs: exploit URL {} COOKIE, with a cookie of {}'s own. Nobody called "
                    "{} has ever logged in, and at this URL nobody can",
                    attacker, target, attacker, target));
    result_ = run_exploit(journal, {gate_.url(), target, *cookie});
    journal.sent(fmt::format("exploit URL {} COOKIE", target));
  }

  const Gate& gate() const { return gate_; }
  const ExploitResult& result() const { return result_; }

 private:
  Gate gate_;
  ExploitResult result_;
};

CHECK_TASK(1, InAsSomebodyWhoNeverLoggedIn) {
  const auto target = random_name("root");
  const auto attacker = random_name("mallory");
  const Forgery forgery{journal(), start_server({}, "WEAK").url(), target, attacker};
  const auto page = "Logged in as " + target;
  if (forgery.gate().was_asked_to_log_in()) {
    differs("no login: a forged cookie", printed(forgery.result()), "logs-in");
  }
  if (!forgery.gate().has_shown(page)) {
    differs(fmt::format("the server shows: {}", page), printed(forgery.result()),
            forgery.gate().has_shown("Logged in as " + attacker) ? "still-names-the-attacker"
            : forgery.gate().has_shown("You are not logged in")  ? "keeps-the-signature"
                                                                 : "reads-only");
  }
  if (forgery.result().output.find(page) == std::string::npos) {
    differs(fmt::format("the exploit prints: {}", page), printed(forgery.result()));
  }
}

CHECK_TASK(2, NotOnTheRepairedServer) {
  const auto target = random_name("root");
  const auto attacker = random_name("mallory");
  const Forgery forgery{journal(), start_server({}, "REPAIRED").url(), target, attacker};
  if (forgery.gate().has_shown(target)) {
    differs("the repaired server does not believe it", printed(forgery.result()));
  }
  if (!forgery.result().exit_code || *forgery.result().exit_code == 0) {
    differs("an exit code other than 0: the attack has failed", printed(forgery.result()),
            "claims-success");
  }
}

}  // namespace

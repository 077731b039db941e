// Write the tests: catch six broken stores, pass the good ones.

#include <fmt/format.h>

#include "attack.hpp"

namespace {

using namespace sessions::exercise;

/// Seconds. The tests under check are told the same.
constexpr const char* kIdleTimeout = "2";

/// Runs the tests against a server and expects the verdict.
class Trial {
 public:
  Trial(Journal& journal, const std::string& url, std::string_view what) {
    journal.step(fmt::format("Run the tests against {}", what));
    result_ = run_exploit(journal, {url, kIdleTimeout});
    journal.sent(fmt::format("check_sessions URL {}", kIdleTimeout));
  }

  bool accepts() const { return result_.exit_code == 0; }
  bool refuses() const { return result_.exit_code == 1; }
  std::string account() const {
    return result_.exit_code ? fmt::format("exit code {}\n{}", *result_.exit_code, printed(result_))
                             : printed(result_);
  }

 private:
  ExploitResult result_;
};

CHECK_TASK(1, StoreInMemoryIsGood) {
  const auto url = start_server({{"SESSION_TTL", kIdleTimeout}}, "GOOD").url();
  const Trial trial{journal(), url, "step 5 with its store in memory"};
  if (!trial.accepts()) {
    differs("exit code 0: this one is good", trial.account());
  }
}

CHECK_TASK(1, StoreInRedisIsGood) {
  const auto url =
      start_server({{"SESSION_TTL", kIdleTimeout}, {"SESSION_STORE", redis().url()}}, "GOOD").url();
  const Trial trial{journal(), url, "step 5 with its store in Redis"};
  if (!trial.accepts()) {
    differs("exit code 0: this one is good", trial.account());
  }
}

CHECK_TASK(1, OtherPageIsGood) {
  const auto url = start_server({{"SESSION_TTL", kIdleTimeout}}, "OTHER").url();
  const Trial trial{journal(), url, "a good server with other HTML around the same sentences"};
  if (!trial.accepts()) {
    differs("exit code 0: this one is good", trial.account(), "over-specifies");
  }
}

/// Expects the tests to refuse the server of this role.
void expect_caught(Journal& journal, const std::string& url, std::string_view what,
                   std::string_view wrong_way) {
  const Trial trial{journal, url, fmt::format("a server whose store is broken: {}", what)};
  if (!trial.refuses()) {
    throw Failed{{"exit code 1: this one is broken", trial.account(), std::string{wrong_way}}};
  }
}

CHECK_TASK(2, LogoutThatKeepsTheSession) {
  expect_caught(journal(), start_server({{"SESSION_TTL", kIdleTimeout}}, "LOGOUT").url(),
                "the logout leaves the session in it", "asks-the-browser");
}

CHECK_TASK(2, LoginThatKeepsTheOldSession) {
  expect_caught(journal(), start_server({{"SESSION_TTL", kIdleTimeout}}, "LOGIN").url(),
                "a login leaves the browser's old session in it", "asks-the-browser");
}

CHECK_TASK(2, LogoutEverywhereThatForgetsSome) {
  expect_caught(journal(), start_server({{"SESSION_TTL", kIdleTimeout}}, "EVERYWHERE").url(),
                "\"log out everywhere\" ends one session only", "");
}

CHECK_TASK(3, SessionThatNeverExpires) {
  expect_caught(journal(), start_server({{"SESSION_TTL", kIdleTimeout}}, "EXPIRY").url(),
                "an idle session goes on counting", "does-not-wait");
}

CHECK_TASK(3, SessionThatIsNotRenewed) {
  expect_caught(journal(), start_server({{"SESSION_TTL", kIdleTimeout}}, "RENEWAL").url(),
                "a session ends though its user is active", "does-not-wait");
}

CHECK_TASK(4, VisitsThatAreLost) {
  expect_caught(journal(), start_server({{"SESSION_TTL", kIdleTimeout}}, "COUNT").url(),
                "visits at the same time count as one", "one-after-the-other");
}

}  // namespace

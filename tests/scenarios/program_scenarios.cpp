#include "program_scenarios.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "raw_connection.hpp"

namespace sessions::test {

using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

std::span<const Scenario<ProgramScenarios>> ProgramScenarios::all() {
  using Self = ProgramScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"HelpListsEverySetting", &Self::help_lists_every_setting},
      Scenario<Self>{"VersionIsShown", &Self::version_is_shown},
      Scenario<Self>{"AnnouncesTheRealPort", &Self::announces_real_port},
      Scenario<Self>{"EnvironmentSetsHostAndThreads", &Self::environment_sets_host_and_threads},
      Scenario<Self>{"ListensOnIpv6", &Self::listens_on_ipv6},
      Scenario<Self>{"RefusesWrongSettingsInOneLine", &Self::refuses_wrong_settings_in_one_line},
      Scenario<Self>{"RefusesBlanksAroundKeys", &Self::refuses_blanks_around_keys},
      Scenario<Self>{"FailsIfItsWordsCannotBeWritten", &Self::fails_if_its_words_cannot_be_written},
      Scenario<Self>{"RefusesTheSecretKeyOnTheCommandLine",
                     &Self::refuses_secret_key_on_command_line},
      Scenario<Self>{"SecondServerOnTheSamePortIsRefused",
                     &Self::second_server_on_same_port_is_refused},
      Scenario<Self>{"SigtermEndsWithZero", &Self::sigterm_ends_with_zero},
      Scenario<Self>{"SigintEndsWithZero", &Self::sigint_ends_with_zero},
      Scenario<Self>{"StopsInSpiteOfIdleAndHalfSentRequests",
                     &Self::stops_in_spite_of_idle_and_half_sent_requests},
      Scenario<Self>{"LogsHoldNoSecrets", &Self::logs_hold_no_secrets},
  };
  return kAll;
}

void ProgramScenarios::version_is_shown() {
  const auto version = run_program({"--version"}, {{"SECRET_KEY", ""}});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.standard_output, MatchesRegex(step() + " [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

void ProgramScenarios::help_lists_every_setting() {
  const auto help = run_program({"--help"}, {{"SECRET_KEY", ""}});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_EQ(help.standard_error, "");
  std::vector<std::string> expected{
      "--host",       "--port",  "--threads", "--quiet",    "HOST",
      "PORT",         "THREADS", "QUIET",     "SECRET_KEY", "SECRET_KEY_FALLBACKS",
      "COOKIE_SECURE"};
  std::ranges::copy(variables(), std::back_inserter(expected));
  if (has_store()) {
    expected.emplace_back("--check");
  }
  for (const auto& name : expected) {
    EXPECT_THAT(help.standard_output, HasSubstr(name));
  }
}

void ProgramScenarios::announces_real_port() {
  const auto output = server().process().standard_output();
  EXPECT_THAT(output, testing::MatchesRegex(step() + " listening on http://127.0.0.1:[0-9]+\n"));
  EXPECT_THAT(output, Not(HasSubstr(":0\n")));
  EXPECT_EQ(HttpClient{server().url()}.get("/").status, 200);
}

void ProgramScenarios::environment_sets_host_and_threads() {
  auto settings = environment();
  settings["HOST"] = "127.0.0.2";
  settings["THREADS"] = "3";
  ServerProcess other{step(), settings};
  EXPECT_THAT(other.url(), StartsWith("http://127.0.0.2:"));
  EXPECT_EQ(HttpClient{other.url()}.get("/").status, 200);
}

void ProgramScenarios::listens_on_ipv6() {
  ServerProcess other{step(), environment(), {"--host", "::1"}};
  EXPECT_THAT(other.url(), StartsWith("http://[::1]:"));
  EXPECT_EQ(HttpClient{other.url()}.get("/").status, 200);
}

void ProgramScenarios::expect_refusal(const Finished& finished, const std::string& setting) const {
  SCOPED_TRACE(setting);
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_EQ(finished.standard_output, "");
  EXPECT_THAT(finished.standard_error, HasSubstr(setting));
  EXPECT_THAT(finished.standard_error, EndsWith("\n"));
  EXPECT_EQ(std::ranges::count(finished.standard_error, '\n'), 1) << finished.standard_error;
}

void ProgramScenarios::refuses_wrong_settings_in_one_line() {
  const std::string key{kTestKey};
  for (const auto& port : {"abc", "65536", "-1", "80x", "", "1.5"}) {
    expect_refusal(run_program({"--port", port}), "--port");
  }
  for (const auto& threads : {"0", "256", "-3", "many"}) {
    expect_refusal(run_program({"--port", "0", "--threads", threads}), "--threads");
    expect_refusal(run_program({"--port", "0"}, {{"THREADS", threads}}), "THREADS");
  }
  expect_refusal(run_program({}, {{"PORT", "http"}}), "PORT");
  expect_refusal(run_program({"--port", "0"}, {{"QUIET", "perhaps"}}), "--quiet");
  expect_refusal(run_program({"--port", "0", "--host", "no.such.host.invalid"}), "--host");
  expect_refusal(run_program({"--port", "0", "--host", "*"}), "--host");
  expect_refusal(run_program({"--port", "0"}, {{"HOST", "*"}}), "HOST");
  expect_refusal(run_program({"--port", "0", "--colour"}), "--colour");
  expect_refusal(run_program({"--port", "0"}, {{"SECRET_KEY", ""}}), "SECRET_KEY");
  const auto too_short = run_program({"--port", "0"}, {{"SECRET_KEY", std::string(31, 'k')}});
  expect_refusal(too_short, "SECRET_KEY");
  EXPECT_THAT(too_short.standard_error, HasSubstr("openssl rand"));
  EXPECT_THAT(too_short.standard_error, Not(HasSubstr("kkkk")));
  for (const auto& fallbacks : {std::string{"short"}, key + ",", "," + key, key + ",,short"}) {
    expect_refusal(run_program({"--port", "0"}, {{"SECRET_KEY_FALLBACKS", fallbacks}}),
                   "SECRET_KEY_FALLBACKS");
  }
  for (const auto& secure : {"yes", "2", "true"}) {
    expect_refusal(run_program({"--port", "0"}, {{"COOKIE_SECURE", secure}}), "COOKIE_SECURE");
  }
}

void ProgramScenarios::refuses_blanks_around_keys() {
  const std::string key{kTestKey};
  for (const auto& blanks : {std::string(40, ' '), " " + key, key + "\t", key + "\n"}) {
    expect_refusal(run_program({"--port", "0"}, {{"SECRET_KEY", blanks}}), "SECRET_KEY: ");
  }
  const auto fallbacks = run_program({"--port", "0"}, {{"SECRET_KEY_FALLBACKS", key + ", " + key}});
  expect_refusal(fallbacks, "SECRET_KEY_FALLBACKS");
  EXPECT_THAT(fallbacks.standard_error, HasSubstr("blank"));
}

void ProgramScenarios::fails_if_its_words_cannot_be_written() {
  const auto with_full_device = [this](const std::string& option) {
    return run({"sh", "-c", program_of(step()) + " " + option + " > /dev/full"},
               with_key(environment()));
  };
  EXPECT_EQ(with_full_device("--help").exit_code, 1);
  if (has_store()) {
    EXPECT_EQ(run_program({"--check"}).exit_code, 0);
    EXPECT_EQ(with_full_device("--check").exit_code, 1);
  }
}

void ProgramScenarios::refuses_secret_key_on_command_line() {
  expect_refusal(run_program({"--port", "0", "--secret-key", std::string{kTestKey}}, {}),
                 "--secret-key");
}

void ProgramScenarios::second_server_on_same_port_is_refused() {
  const auto port = server().url().substr(server().url().rfind(':') + 1);
  const auto second = run_program({"--port", port});
  expect_refusal(second, "--port");
  EXPECT_THAT(second.standard_error, HasSubstr("in use"));
  EXPECT_EQ(HttpClient{server().url()}.get("/").status, 200);
}

void ProgramScenarios::sigterm_ends_with_zero() {
  HttpClient client{server().url()};
  client.get("/");
  EXPECT_EQ(server().stop(), 0);
  EXPECT_THROW(RawConnection{server().url()}, std::exception);
}

void ProgramScenarios::sigint_ends_with_zero() {
  server().process().signal(SIGINT);
  EXPECT_EQ(server().process().wait_for_exit(), 0);
}

void ProgramScenarios::stops_in_spite_of_idle_and_half_sent_requests() {
  RawConnection idle{server().url()};
  RawConnection kept{server().url()};
  kept.send(request_text("GET", "/"));
  kept.read_response();
  RawConnection half_sent{server().url()};
  half_sent.send("GET / HTTP/1.1\r\nHost: loc");
  RawConnection half_body{server().url()};
  half_body.send("POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nusername=a");
  server().process().signal(SIGTERM);
  EXPECT_EQ(server().process().wait_for_exit(seconds{3}), 0);
}

void ProgramScenarios::logs_hold_no_secrets() {
  HttpClient client{server().url()};
  const auto cookie = logged_in_cookie(client, "alice");
  client.get("/", {cookie_header("session", cookie)});
  client.get("/", {cookie_header("session", cookie + "x")});
  client.post("/login", "user=alice&password=sesame");
  client.request("PUT", "/", {cookie_header("session", cookie)});
  RawConnection malformed{server().url()};
  malformed.send("GARBAGE\r\nCookie: session=" + cookie + "\r\n\r\n");
  malformed.read_to_end();
  client.get("/logout", {cookie_header("session", cookie)});
  EXPECT_EQ(server().stop(), 0);
  const auto log = server().process().log();
  const auto signature = cookie.substr(cookie.rfind('.') + 1);
  for (const auto& secret : {std::string{kTestKey}, cookie, signature, std::string{"sesame"}}) {
    EXPECT_THAT(log, Not(HasSubstr(secret)));
  }
}

}  // namespace sessions::test

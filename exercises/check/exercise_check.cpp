#include "exercise_check.hpp"

#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ranges>
#include <set>
#include <thread>

#include "server_process.hpp"

namespace sessions::exercise {
namespace {

std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::string{} : std::string{value};
}

/// True from when the first answer did not come.
std::atomic<bool>& missed_an_answer() {
  static std::atomic<bool> missed = false;
  return missed;
}

/// What a program left behind, for a report.
std::string account_of(RunningProgram& program) {
  const auto code = program.wait_for_exit(test::milliseconds{0});
  auto text = !code         ? std::string{"It still runs."}
              : *code > 128 ? fmt::format("It ended by signal {}.", *code - 128)
                            : fmt::format("It ended with exit code {}.", *code);
  const auto output = program.standard_output() + program.standard_error();
  return output.empty() ? text : text + " It wrote:\n" + output;
}

test::Environment with_key(test::Environment environment) {
  environment.try_emplace("SECRET_KEY", test::kTestKey);
  environment.try_emplace("QUIET", "1");
  return environment;
}

std::vector<std::string> server_command(const std::string& role) {
  auto command = command_of(role);
  command.insert(command.end(), {"--port", "0"});
  return command;
}

/// The address in "<name> listening on <address>", or nothing while there is none.
std::string address_in(const std::string& output) {
  constexpr std::string_view kLabel = " listening on ";
  const auto found = output.find(kLabel);
  const auto end = output.find('\n', found);
  if (found == std::string::npos || end == std::string::npos) {
    return {};
  }
  return output.substr(found + kLabel.size(), end - found - kLabel.size());
}

/// Appends a line of JSON to the file CHECK_RESULTS, if there is one.
void append_result(const nlohmann::json& result) {
  if (const auto path = variable("CHECK_RESULTS"); !path.empty()) {
    // What a server sends need not be UTF-8.
    std::ofstream{path, std::ios::app}
        << result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  }
}

std::string in_words(const std::string& method, const std::string& path,
                     const test::Headers& headers, const std::optional<std::string>& body) {
  auto text = method + " " + path;
  for (const auto& [name, value] : headers) {
    text += fmt::format("\n{}: {}", name, value);
  }
  return body && !body->empty() ? fmt::format("{}\n\n{}", text, *body) : text;
}

}  // namespace

void Journal::step(std::string words) { steps_.push_back(std::move(words)); }

std::vector<std::string> command_of(const std::string& role) {
  std::vector<std::string> words;
  const auto launcher = variable("CHECK_" + role + "_LAUNCHER");
  for (const auto part : std::views::split(launcher, '\n')) {
    if (!part.empty()) {
      words.emplace_back(part.begin(), part.end());
    }
  }
  words.push_back(variable("CHECK_" + role));
  if (words.back().empty()) {
    throw std::runtime_error{fmt::format("CHECK_{} is not set", role)};
  }
  return words;
}

Server::Server(const std::string& role, test::Environment environment)
    : program_{server_command(role), with_key(std::move(environment))} {
  test::wait_until([&] {
    url_ = address_in(program_.standard_output());
    return !url_.empty() || program_.exit_code().has_value();
  });
  if (url_.empty()) {
    throw Failed{{"The program starts and prints the line \"... listening on http://...\".",
                  account_of(program_), "does-not-start"}};
  }
}

void Server::stop() {
  program_.signal(SIGTERM);
  program_.wait_for_exit(test::seconds{5});
  const auto log = program_.standard_error();
  if (log.find("Sanitizer") != std::string::npos ||
      log.find("runtime error:") != std::string::npos) {
    throw Failed{{"No sanitizer complains.", log, ""}};
  }
}

Browser::Browser(Journal& journal, std::string owner, const std::string& url)
    : journal_{journal}, owner_{std::move(owner)}, client_{url} {
  client_.keep_cookies();
}

test::Response Browser::get(const std::string& path, const test::Headers& headers) {
  journal_.step(fmt::format("{}: GET {}", owner_, path));
  return quietly("GET", path, headers);
}

test::Response Browser::post(const std::string& path, const std::string& form) {
  journal_.step(fmt::format("{}: POST {} with {}", owner_, path, form.empty() ? "nothing" : form));
  return quietly("POST", path, {}, form);
}

test::Response Browser::log_in(const std::string& username) {
  auto answer = post("/login", "username=" + test::encoded(username));
  if (answer.status != 302) {
    throw NotChecked{fmt::format("the login of {} was answered with {}", username, answer.status)};
  }
  return answer;
}

bool Browser::has_missed_an_answer() { return missed_an_answer(); }

test::Response Browser::quietly(const std::string& method, const std::string& path,
                                const test::Headers& headers,
                                const std::optional<std::string>& body) {
  journal_.sent(in_words(method, path, headers, body));
  try {
    return client_.request(method, path, headers, body);
  } catch (const std::runtime_error& error) {
    const std::string_view what = error.what();
    if (what.find("Timeout") != std::string_view::npos) {
      missed_an_answer() = true;
    }
    throw Failed{{"An answer within ten seconds.",
                  fmt::format("None: {}.", what.substr(what.rfind(": ") + 2)), "no-answer"}};
  }
}

ExerciseCheck::ExerciseCheck(int task) : task_{task} {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  const auto text = fmt::format("{}/{}", variable("CHECK_SEED"), info->name());
  std::seed_seq seed(text.begin(), text.end());
  random_.seed(seed);
}

void ExerciseCheck::TestBody() {
  RecordProperty("task_id", task_);
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  nlohmann::json result{{"task", task_}, {"test", info->name()}};
  // Written before too: a scenario that never ends can be named then.
  append_result(result);
  const auto start = test::Clock::now();
  try {
    check();
    for (const auto& server : servers_) {
      server->stop();
    }
    result["outcome"] = "passed";
  } catch (const Failed& failed) {
    const auto& difference = failed.difference();
    result["outcome"] = "failed";
    result["sent"] = journal_.last_sent();
    result["expected"] = difference.expected;
    result["came"] = difference.came;
    result["wrong_way"] = difference.wrong_way;
  } catch (const NotChecked& reason) {
    result["outcome"] = "not checked";
    result["came"] = reason.what();
  } catch (const std::exception& error) {
    result["outcome"] = "failed";
    result["sent"] = journal_.last_sent();
    result["expected"] = "a check that can go on";
    result["came"] = error.what();
  }
  result["steps"] = journal_.steps();
  result["seconds"] = std::chrono::duration<double>(test::Clock::now() - start).count();
  append_result(result);
  if (result["outcome"] != "passed") {
    ADD_FAILURE() << result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  }
}

void ExerciseCheck::step(std::string words) { journal_.step(std::move(words)); }

test::RedisProcess& ExerciseCheck::redis() {
  if (!redis_) {
    redis_ = std::make_unique<test::RedisProcess>();
  }
  return *redis_;
}

test::FirestoreProject& ExerciseCheck::firestore() {
  if (!test::FirestoreEmulator::is_installed()) {
    not_checked("the Firestore emulator is not installed. Run ./tutorial setup");
  }
  if (!firestore_) {
    firestore_.emplace(test::FirestoreEmulator::shared());
  }
  return *firestore_;
}

test::FirestoreFaultProxy& ExerciseCheck::slow_firestore() {
  firestore();
  if (!slow_firestore_) {
    slow_firestore_.emplace(test::FirestoreEmulator::shared());
  }
  return *slow_firestore_;
}

test::Environment ExerciseCheck::firestore_environment(bool is_slow) {
  auto environment = firestore().environment();
  if (is_slow) {
    environment["FIRESTORE_EMULATOR_HOST"] = slow_firestore().host();
  }
  return environment;
}

void ExerciseCheck::await_first_call() {
  test::wait_until([this] { return !slow_firestore().calls("batchGet").empty(); });
}

Server& ExerciseCheck::start_server(test::Environment environment, const std::string& role) {
  // One that did not start, or did not answer, is not waited for again in each scenario.
  static std::set<std::string> not_starting;
  if (not_starting.contains(role) || Browser::has_missed_an_answer()) {
    not_checked(not_starting.contains(role) ? "the program does not start"
                                            : "the program does not answer");
  }
  try {
    servers_.push_back(std::make_unique<Server>(role, std::move(environment)));
  } catch (const Failed&) {
    not_starting.insert(role);
    throw;
  }
  return *servers_.back();
}

std::string ExerciseCheck::random_name(std::string_view prefix) {
  return fmt::format("{}{:08x}", prefix, static_cast<std::uint32_t>(random_()));
}

int ExerciseCheck::random_number(int lowest, int highest) {
  // Not uniform_int_distribution: what it draws is not specified, and the expected texts need it.
  return lowest + static_cast<int>(random_() % static_cast<unsigned>(highest - lowest + 1));
}

std::string ExerciseCheck::random_session_id() {
  return fmt::format("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", random_() & 0xffffffff,
                     random_() & 0xffff, random_() & 0xfff, random_() & 0xfff,
                     random_() & 0xffffffffffff);
}

void ExerciseCheck::expect_status(const test::Response& answer, int status,
                                  std::string_view wrong_way) {
  if (answer.status != status) {
    differs(fmt::format("status {}", status),
            fmt::format("status {}\n{}", answer.status, page_text(answer)), wrong_way);
  }
}

void ExerciseCheck::expect_text(const test::Response& answer, std::string_view text,
                                std::string_view wrong_way) {
  if (!answer.contains(text)) {
    differs(std::string{text}, page_text(answer), wrong_way);
  }
}

void ExerciseCheck::expect_no_text(const test::Response& answer, std::string_view text,
                                   std::string_view wrong_way) {
  if (answer.contains(text)) {
    differs(fmt::format("a page without: {}", text), page_text(answer), wrong_way);
  }
}

void ExerciseCheck::expect_number(const test::Response& answer, std::string_view label, int number,
                                  std::string_view wrong_way) {
  const int came = number_after(answer, label);
  if (came != number) {
    differs(fmt::format("{}{}", label, number), page_text(answer),
            came == -1 ? std::string_view{} : wrong_way);
  }
}

void ExerciseCheck::differs(std::string expected, std::string came, std::string_view wrong_way) {
  throw Failed{{std::move(expected), std::move(came), std::string{wrong_way}}};
}

void ExerciseCheck::not_checked(const std::string& reason) { throw NotChecked{reason}; }

std::string page_text(const std::string& html) {
  constexpr std::string_view kStart = "<body>";
  const auto start = html.find(kStart);
  const auto end = html.rfind("</body>");
  if (start == std::string::npos || end == std::string::npos || end < start) {
    return html;
  }
  auto text = html.substr(start + kStart.size(), end - start - kStart.size());
  text.erase(0, text.find_first_not_of("\r\n"));
  text.erase(text.find_last_not_of("\r\n") + 1);
  return text;
}

void await_next_second() {
  using System = std::chrono::system_clock;
  std::this_thread::sleep_until(std::chrono::floor<std::chrono::seconds>(System::now()) +
                                std::chrono::seconds{1});
}

int number_after(const test::Response& answer, std::string_view label) {
  const auto found = answer.body.find(label);
  int number = -1;
  if (found != std::string::npos) {
    const auto* start = answer.body.data() + found + label.size();
    std::from_chars(start, answer.body.data() + answer.body.size(), number);
  }
  return number;
}

}  // namespace sessions::exercise

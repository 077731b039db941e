// What the checks of all exercises stand on: what they do is written down as it is done, so that a
// failed one can be read by a person.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "firestore_emulator.hpp"
#include "firestore_fault_proxy.hpp"
#include "http_client.hpp"
#include "redis_process.hpp"
#include "running_program.hpp"

namespace sessions::exercise {

/// What the check found instead of what the task asks for. It ends the scenario.
struct Difference {
  std::string expected;
  std::string came;
  /// The known wrong way that this points to, as exercise.toml names it; empty if none is known.
  std::string wrong_way;
};

/// The scenario so far, for the report.
class Journal {
 public:
  /// One more step, in words: "Log in as anna".
  void step(std::string words);
  /// What was sent last.
  void sent(std::string request) { sent_ = std::move(request); }

  const std::vector<std::string>& steps() const { return steps_; }
  const std::string& last_sent() const { return sent_; }

 private:
  std::vector<std::string> steps_;
  std::string sent_;
};

/// Thrown by ExerciseCheck::differs().
class Failed : public std::runtime_error {
 public:
  explicit Failed(Difference difference)
      : std::runtime_error{difference.came}, difference_{std::move(difference)} {}
  const Difference& difference() const { return difference_; }

 private:
  Difference difference_;
};

/// Thrown by ExerciseCheck::not_checked().
class NotChecked : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A program that is given to the check by the environment variable CHECK_<role>, such as
/// CHECK_PROGRAM. CHECK_<role>_LAUNCHER is a command that ends by executing the one after it; its
/// words are separated by line ends.
std::vector<std::string> command_of(const std::string& role);

/// A server under check on a free port.
class Server {
 public:
  /// Starts the program of this role and waits for its "... listening on URL". Throws Failed.
  Server(const std::string& role, test::Environment environment);
  const std::string& url() const { return url_; }
  RunningProgram& program() { return program_; }
  /// Sends SIGTERM and waits. Throws Failed if a sanitizer has reported something.
  void stop();

 private:
  RunningProgram program_;
  std::string url_;
};

/// A browser: it keeps cookies, and what it does is a step in the journal.
class Browser {
 public:
  /// `owner` is how the steps call it: "anna's browser".
  Browser(Journal& journal, std::string owner, const std::string& url);

  /// Each is a step, and throws Failed if no answer comes.
  test::Response get(const std::string& path, const test::Headers& headers = {});
  test::Response post(const std::string& path, const std::string& form);
  /// POST /login, which is to lead to the page. Throws NotChecked if the login is refused: that is
  /// not what an exercise is about.
  test::Response log_in(const std::string& username);

  /// Whether a browser of this run has waited for an answer in vain.
  static bool has_missed_an_answer();

  /// The same without a step of its own, for loops: only what was sent is written down.
  test::Response quietly(const std::string& method, const std::string& path,
                         const test::Headers& headers = {},
                         const std::optional<std::string>& body = std::nullopt);

 private:
  Journal& journal_;
  std::string owner_;
  test::HttpClient client_;
};

/// The base of an exercise's scenarios; see CHECK_TASK.
class ExerciseCheck : public testing::Test {
 protected:
  explicit ExerciseCheck(int task);

  /// The scenario. It throws Failed, NotChecked, or std::runtime_error for what nobody foresaw.
  virtual void check() = 0;

  void step(std::string words);
  Journal& journal() { return journal_; }

  /// A Redis of this scenario's own; starts when first asked for.
  test::RedisProcess& redis();
  /// A Firestore project of this scenario's own. Throws NotChecked without an emulator.
  test::FirestoreProject& firestore();
  /// What stands before Firestore for a server that is started with its host(): see HeldCall.
  test::FirestoreFaultProxy& slow_firestore();
  /// A server's settings for firestore(), or for the same behind slow_firestore().
  test::Environment firestore_environment(bool is_slow = false);
  /// Waits until a server behind slow_firestore() has tried whether Firestore answers, which it
  /// does in the background when it starts: the calls after that are those of visits.
  void await_first_call();
  /// Starts the program under check, with `environment`. It stops at the end of the scenario.
  Server& start_server(test::Environment environment = {}, const std::string& role = "PROGRAM");

  /// Names and numbers that nobody can know before: drawn from CHECK_SEED and the scenario's name.
  std::string random_name(std::string_view prefix);
  int random_number(int lowest, int highest);
  /// A UUID, version 4.
  std::string random_session_id();

  /// Each throws Failed unless `answer` is as described.
  void expect_status(const test::Response& answer, int status, std::string_view wrong_way = {});
  void expect_text(const test::Response& answer, std::string_view text,
                   std::string_view wrong_way = {});
  void expect_no_text(const test::Response& answer, std::string_view text,
                      std::string_view wrong_way = {});
  /// The number after `label` in the page. `wrong_way` is named if another number is there than the
  /// expected one, and not if there is none at all.
  void expect_number(const test::Response& answer, std::string_view label, int number,
                     std::string_view wrong_way = {});
  [[noreturn]] static void differs(std::string expected, std::string came,
                                   std::string_view wrong_way = {});
  /// The scenario cannot be judged, for a reason that is not its task's.
  [[noreturn]] static void not_checked(const std::string& reason);

 private:
  void TestBody() final;

  int task_;
  Journal journal_;
  std::mt19937_64 random_;
  std::unique_ptr<test::RedisProcess> redis_;
  std::optional<test::FirestoreProject> firestore_;
  std::optional<test::FirestoreFaultProxy> slow_firestore_;
  std::vector<std::unique_ptr<Server>> servers_;
};

/// Defines a scenario of the task with this number in exercise.toml:
///   CHECK_TASK(1, EachLoginCounts) { ... }
/// A macro, as GoogleTest's own TEST is: it names a class and registers it.
#define CHECK_TASK(number, name) CHECK_TASK_OF(sessions::exercise::ExerciseCheck, number, name)

/// The same, with a class derived from ExerciseCheck in between.
#define CHECK_TASK_OF(base, number, name)                                                         \
  class name : public base {                                                                      \
   public:                                                                                        \
    name() : base{number} {}                                                                      \
    void check() override;                                                                        \
  };                                                                                              \
  [[maybe_unused]] const auto* const kRegistered##name = testing::RegisterTest(                   \
      "Task" #number, #name, nullptr, nullptr, __FILE__, __LINE__,                                \
      []() -> sessions::exercise::ExerciseCheck* { return std::make_unique<name>().release(); }); \
  void name::check()

/// Calls `work(0)` to `work(count - 1)`, each on a thread of its own, waits for all, and throws
/// what one of them has thrown.
template <typename Work>
void in_parallel(int count, Work work) {
  std::vector<std::future<void>> all;
  for (int number = 0; number < count; ++number) {
    all.push_back(std::async(std::launch::async, work, number));
  }
  for (const auto& one : all) {
    one.wait();
  }
  for (auto& one : all) {
    one.get();
  }
}

/// The body's own part of a page: what is between <body> and </body>, or everything.
std::string page_text(const std::string& html);
inline std::string page_text(const test::Response& answer) { return page_text(answer.body); }

/// Waits until the clock that people read shows another second.
void await_next_second();

/// The number after `label` in the page, or -1.
int number_after(const test::Response& answer, std::string_view label);

}  // namespace sessions::exercise

// Show when the session began.

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <future>

#include "exercise_check.hpp"
#include "held_call.hpp"

namespace {

using namespace sessions::exercise;
using nlohmann::json;
using sessions::test::Fault;
using sessions::test::Headers;
using sessions::test::Response;

constexpr const char* kLabel = "Since ";

/// Seconds since 1970.
std::time_t now() { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); }

class SessionStart : public ExerciseCheck {
 protected:
  using ExerciseCheck::ExerciseCheck;

  std::string start_step_four(bool is_slow = false) {
    auto environment = firestore_environment(is_slow);
    environment["TZ"] = "ELSEWHERE-5:30";  // the page speaks of UTC wherever the server stands
    return start_server(environment).url();
  }

  /// A session that step 4 has kept before there was such a field. Returns its cookie.
  Headers session_from_before() {
    const auto id = random_session_id();
    step("The program of yesterday has left a session, without createdAt");
    firestore().write("sessions/" + id,
                      {{"greeting", {{"stringValue", "Hello World"}}},
                       {"views", {{"integerValue", "7"}}},
                       {"expireAt", {{"timestampValue", "2999-01-01T00:00:00Z"}}}});
    return {{"Cookie", "session_id=" + id}};
  }

  /// The time after "Since " in the page.
  static std::time_t shown_start(const Response& page) {
    const auto found = page.body.find(kLabel);
    std::tm parts{};
    const char* rest = found == std::string::npos ? nullptr
                                                  : ::strptime(page.body.c_str() + found,
                                                               "Since %Y-%m-%d %H:%M:%S", &parts);
    if (rest == nullptr || !std::string_view{rest}.starts_with(" UTC")) {
      differs("a page with: Since YYYY-MM-DD HH:MM:SS UTC", "a page without that");
    }
    return ::timegm(&parts);
  }

  /// The field `createdAt` of the session that a cookie names, to the second; 0 if there is none.
  std::time_t stored_start(const std::string& id) {
    const auto fields = firestore().fields("sessions/" + id).value_or(json::object());
    const auto created = fields.value("createdAt", json::object()).value("timestampValue", "");
    std::tm parts{};
    return ::strptime(created.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr ? 0
                                                                               : ::timegm(&parts);
  }

  void expect_stored(const std::string& id, std::time_t start) {
    step("Look into Firestore: the field createdAt of sessions/<id>");
    if (const auto stored = stored_start(id); stored != start) {
      differs("a timestamp, the same as on the page", stored == 0 ? "none" : "another time");
    }
  }
};

CHECK_TASK_OF(SessionStart, 1, NewSessionShowsWhenItBegan) {
  const auto url = start_step_four();
  await_next_second();
  Browser browser{journal(), "a new visitor", url};
  const auto before = now();
  const auto page = browser.get("/");
  const auto after = now();
  const auto start = shown_start(page);
  if (start < before || start > after) {
    differs("the time of this visit, in UTC", "another time",
            start < before && start > before - 60 ? "from-the-start-of-the-program" : "");
  }
  expect_stored(page.cookie("session_id").value_or(""), start);
}

CHECK_TASK_OF(SessionStart, 1, TwoBrowsersHaveTwoTimes) {
  const auto url = start_step_four();
  Browser one{journal(), "one browser", url};
  Browser other{journal(), "another, a second later", url};
  const auto first = shown_start(one.get("/"));
  await_next_second();
  if (shown_start(other.get("/")) <= first) {
    differs("a later time than the first browser's", "the same time",
            "from-the-start-of-the-program");
  }
}

CHECK_TASK_OF(SessionStart, 2, TimeStaysAcrossVisits) {
  Browser browser{journal(), "a visitor", start_step_four()};
  const auto page = browser.get("/");
  const auto start = shown_start(page);
  for (int visit = 2; visit <= 3; ++visit) {
    await_next_second();
    if (shown_start(browser.get("/")) != start) {
      differs("the time of the first visit", "another one", "written-by-each-visit");
    }
  }
  expect_stored(page.cookie("session_id").value_or(""), start);
}

CHECK_TASK_OF(SessionStart, 2, SessionFromBeforeBeginsOnce) {
  const auto url = start_step_four();
  const auto cookie = session_from_before();
  Browser browser{journal(), "its visitor", url};
  const auto before = now();
  const auto page = browser.get("/", cookie);
  expect_text(page, "8 views for");
  const auto start = shown_start(page);
  if (start < before || start > now()) {
    differs("the time of this visit, since nobody knows more", "another time");
  }
  await_next_second();
  if (shown_start(browser.get("/", cookie)) != start) {
    differs("the same time as at the visit before", "another one", "kept-by-new-sessions-only");
  }
}

// An optimistic transaction that is refused runs again, here a second later.
CHECK_TASK_OF(SessionStart, 3, TimeStaysWhenTheFunctionRunsAgain) {
  Browser browser{journal(), "a visitor with the cookie of a session that is gone",
                  start_step_four(true)};
  const Headers cookie{{"Cookie", "session_id=" + random_session_id()}};
  HeldCall commit{slow_firestore(), "commit", Fault::refuse(400, "FAILED_PRECONDITION")};
  step("Firestore will refuse the first commit, a second later: somebody was faster");
  auto visit = std::async(std::launch::async, [&] { return browser.get("/", cookie); });
  const bool has_come = commit.has_come();
  const auto first_attempt = now();
  await_next_second();
  commit.let_go();
  const auto page = visit.get();
  if (!has_come || slow_firestore().calls("commit").size() < 2) {
    not_checked("no second attempt was made");
  }
  expect_status(page, 200);
  if (shown_start(page) > first_attempt) {
    differs("a time before the first attempt", "the time of the second one",
            "clock-in-the-function");
  }
}

CHECK_TASK_OF(SessionStart, 3, WhoeverIsFasterDecides) {
  const auto cookie = session_from_before();
  step("Start two servers on one Firestore: A behind a slow network, B beside it");
  Browser at_a{journal(), "at A", start_step_four(true)};
  Browser at_b{journal(), "at B", start_step_four()};
  HeldCall commit{slow_firestore(), "commit", Fault::refuse(400, "FAILED_PRECONDITION")};
  step("at A: GET /, and the commit stays in the network");
  auto late = std::async(std::launch::async, [&] { return at_a.quietly("GET", "/", cookie); });
  if (!commit.has_come()) {
    not_checked("A has sent no commit");
  }
  await_next_second();
  const auto start = shown_start(at_b.get("/", cookie));
  step("Firestore refuses A's commit, for B was faster; A tries again");
  commit.let_go();
  const auto page = late.get();
  expect_text(page, "9 views for");
  if (shown_start(page) != start) {
    differs("the time that B has shown", "another one", "decided-before-the-transaction");
  }
  expect_stored(cookie.front().second.substr(std::string_view{"session_id="}.size()), start);
}

}  // namespace

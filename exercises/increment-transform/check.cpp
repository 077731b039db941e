// Count with Firestore's increment.

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <future>
#include <mutex>

#include "exercise_check.hpp"
#include "held_call.hpp"

namespace {

using namespace sessions::exercise;
using nlohmann::json;
using sessions::test::Headers;
using sessions::test::HttpClient;
using sessions::test::Response;

/// The number before " views for".
int number_of(const Response& page) {
  const auto found = page.body.find(" views for");
  if (page.status != 200 || found == std::string::npos) {
    return -1;
  }
  const auto start = page.body.find_last_not_of("0123456789", found - 1) + 1;
  return std::stoi(page.body.substr(start, found - start));
}

class Counting : public ExerciseCheck {
 protected:
  using ExerciseCheck::ExerciseCheck;

  std::string start_step_four(bool is_slow = false) {
    return start_server(firestore_environment(is_slow)).url();
  }

  std::string kept_session(int views) {
    const auto id = random_session_id();
    step(fmt::format("There is a session with {} views", views));
    write_session(id, views);
    return id;
  }
  void write_session(const std::string& id, int views) {
    firestore().write("sessions/" + id,
                      {{"greeting", {{"stringValue", "Hello World"}}},
                       {"views", {{"integerValue", std::to_string(views)}}},
                       {"expireAt", {{"timestampValue", "2999-01-01T00:00:00Z"}}}});
  }
  static Headers cookie_of(const std::string& id) { return {{"Cookie", "session_id=" + id}}; }

  void expect_count(const Response& page, int views, std::string_view wrong_way = {}) {
    if (const int came = number_of(page); came != views) {
      differs(fmt::format("{} views", views),
              came == -1 ? page_text(page) : fmt::format("{} views", came), wrong_way);
    }
  }

  /// A visit at server A during which one call to Firestore is slow, and what happens meanwhile.
  Response visit_slowly(const std::string& id, const std::string& call,
                        const std::function<void()>& meanwhile) {
    Browser at_a{journal(), "at A", start_step_four(true)};
    await_first_call();
    HeldCall held{slow_firestore(), call};
    step(fmt::format("at A: GET /, and the answer to A's {} stays in the network", call));
    auto visit =
        std::async(std::launch::async, [&] { return at_a.quietly("GET", "/", cookie_of(id)); });
    if (!held.has_come()) {
      not_checked("A has not called " + call);
    }
    meanwhile();
    step("The answer arrives at A, and its page is made");
    held.let_go();
    auto page = visit.get();
    journal().sent("GET /\nCookie: session_id=" + id);
    return page;
  }
};

CHECK_TASK_OF(Counting, 1, FirestoreAddsWhateverTheNumberIs) {
  Browser browser{journal(), "a new visitor", start_step_four(true)};
  const auto page = browser.get("/");
  expect_count(page, 1);
  expect_count(browser.get("/"), 2);
  step("Look at the commits that the server has sent");
  for (const auto& commit : slow_firestore().calls("commit")) {
    json counting;
    for (const auto& write : commit.at("writes")) {
      for (const auto& transform : write.value("updateTransforms", json::array())) {
        if (transform.value("fieldPath", "") == "views" && transform.contains("increment")) {
          counting = write;
        }
      }
    }
    if (counting.is_null()) {
      differs("a write with the transform increment of views", "one that says what views is to be");
    }
    if (counting.value("currentDocument", json::object()).contains("updateTime")) {
      differs("a write that does not mind who else has written",
              "one with the precondition updateTime", "stays-in-the-transaction");
    }
  }
}

CHECK_TASK_OF(Counting, 2, NumberIsNotWhatWasReadBefore) {
  const int views = random_number(3, 9);
  const auto id = kept_session(views);
  Browser at_b{journal(), "at B", start_step_four()};
  const auto page =
      visit_slowly(id, "batchGet", [&] { expect_count(at_b.get("/", cookie_of(id)), views + 1); });
  expect_count(page, views + 2, "adds-one-to-what-it-read");
}

CHECK_TASK_OF(Counting, 2, NumberIsNotWhatIsThereAfterwards) {
  const int views = random_number(3, 9);
  const auto id = kept_session(views);
  Browser at_b{journal(), "at B", start_step_four()};
  const auto page =
      visit_slowly(id, "commit", [&] { expect_count(at_b.get("/", cookie_of(id)), views + 2); });
  expect_count(page, views + 1, "reads-afterwards");
}

CHECK_TASK_OF(Counting, 2, FiftyPagesAtTheSameTimeShowOneToFifty) {
  constexpr int kPages = 50;
  constexpr int kAttempts = 3;
  const std::vector urls{start_step_four(), start_step_four()};
  step("There is a session with 0 views");
  step(fmt::format("{} pages with its cookie at the same time, from two servers in turn", kPages));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto id = random_session_id();
    write_session(id, 0);
    journal().sent("GET /\nCookie: session_id=" + id);
    std::mutex mutex;
    std::vector<int> numbers;
    bool is_in_time = true;
    in_parallel(kPages, [&](int page) {
      const auto answer =
          HttpClient{urls.at(static_cast<std::size_t>(page % 2))}.get("/", cookie_of(id));
      const std::lock_guard lock{mutex};
      numbers.push_back(number_of(answer));
      is_in_time = is_in_time && answer.status != 503;
    });
    if (!is_in_time) {
      continue;
    }
    std::ranges::sort(numbers);
    for (int number = 1; number <= kPages; ++number) {
      if (numbers.at(static_cast<std::size_t>(number - 1)) != number) {
        differs("1 to 50, each once", "a number twice, and another not at all");
      }
    }
    return;
  }
  not_checked("each time Firestore answered too late for some of 50 pages (503)");
}

CHECK_TASK_OF(Counting, 3, SessionThatWasDeletedMeanwhileIsNotBroughtBack) {
  const auto id = kept_session(random_number(3, 9));
  const auto page = visit_slowly(id, "batchGet", [&] {
    step("The session is deleted");
    firestore().remove("sessions/" + id);
  });
  expect_status(page, 200);
  if (page.cookie("session_id").value_or("") == id || firestore().fields("sessions/" + id)) {
    differs("a new session, under a new id", "the old id, which a browser has sent",
            "brings-it-back");
  }
  expect_count(page, 1);
}

}  // namespace

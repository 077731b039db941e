// Find the bug: a late write brings a session back that was logged out.

#include <fmt/format.h>

#include <functional>
#include <future>

#include "exercise_check.hpp"
#include "held_call.hpp"
#include "hold_proxy.hpp"
#include "raw_connection.hpp"

namespace {

using namespace sessions::exercise;
using sessions::test::Environment;
using sessions::test::Headers;
using sessions::test::HoldProxy;
using sessions::test::HttpClient;
using sessions::test::milliseconds;
using sessions::test::RawConnection;
using sessions::test::wait_until;

constexpr const char* kAnonymous = "You are not logged in";

/// Two servers on one store: A behind a slow network, B beside it.
class LateWrite : public ExerciseCheck {
 protected:
  using ExerciseCheck::ExerciseCheck;

  void start_two_servers(Environment environment, const std::string& setting,
                         const std::string& behind_network) {
    step("Start two servers on one store: A behind a slow network, B beside it");
    b_ = start_server(environment).url();
    environment[setting] = behind_network;
    a_ = start_server(environment).url();
  }

  static Headers log_in(const std::string& url, const std::string& name) {
    const auto cookie = HttpClient{url}.post("/login", "username=" + name).cookie("session");
    if (!cookie) {
      not_checked("the login of " + name + " was refused");
    }
    return {{"Cookie", "session=" + *cookie}};
  }

  /// The cookie of a user who has been to both servers.
  Headers known_to_both(const std::string& name) {
    step(fmt::format("{}, at B: POST /login", name));
    auto cookie = log_in(b_, name);
    HttpClient{a_}.get("/", cookie);
    return cookie;
  }

  /// A visit at A that is slow from some moment on, and a logout at B meanwhile. `waits` says
  /// whether that moment has come, `go_on` ends it. False if the visit was over before.
  bool log_out_meanwhile(const std::string& name, const Headers& cookie, const char* logout,
                         const std::function<bool()>& waits, const std::function<void()>& go_on,
                         std::string_view wrong_way) {
    auto visit = std::async(std::launch::async, [&] { return HttpClient{a_}.get("/", cookie); });
    const auto is_over = [&] {
      return visit.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
    };
    wait_until([&] { return waits() || is_over(); });
    const bool has_waited = waits();
    HttpClient{b_}.post(logout, "", cookie);
    go_on();
    const auto late = visit.get();
    step(fmt::format("{}, at B, before A has gone on: POST {}", name, logout));
    step("A goes on");
    journal().sent("GET /\nCookie: session=<her cookie>");
    if (HttpClient{b_}.get("/", cookie).contains("Logged in as")) {
      differs("the session stays as it is after the logout: there is none",
              "it is back: Logged in as " + name, wrong_way);
    }
    // 503 says that the store was too slow, which it was.
    if (has_waited && late.status != 503) {
      expect_status(late, 200, "fails-instead");
      expect_text(late, kAnonymous);
    }
    return has_waited;
  }

  /// Wherever server A stops: after no, one, two of the commands of a visit. `wrong_way` says which
  /// one a failure after so many points to.
  void log_out_after_each_command(std::string_view prefix, const char* logout,
                                  const std::function<std::string_view(int)>& wrong_way) {
    HoldProxy network{redis().port()};
    start_two_servers({{"SESSION_STORE", redis().url()}}, "SESSION_STORE",
                      fmt::format("redis://127.0.0.1:{}", network.port()));
    for (int commands = 0; commands < 5; ++commands) {
      const auto name = random_name(prefix);
      const auto cookie = known_to_both(name);
      step(fmt::format("{}, at A: GET /, and command {} to Redis stays in the network", name,
                       commands + 1));
      network.hold(commands);
      if (!log_out_meanwhile(
              name, cookie, logout, [&] { return network.holds_bytes(); },
              [&] { network.release(); }, wrong_way(commands))) {
        return;
      }
    }
  }

 private:
  std::string a_;
  std::string b_;
};

// There is no network to be slow: the visits and the logout are on two threads of the server, again
// and again until they meet. Each visit takes a while, for the user has many sessions.
CHECK_TASK_OF(LateWrite, 1, LogoutAmongVisitsInMemory) {
  constexpr int kRounds = 200;
  constexpr int kVisits = 20;
  constexpr int kOtherSessions = 500;
  const auto url = start_server({{"SESSION_STORE", "memory:"}}).url();
  const auto name = random_name("anna");
  step(fmt::format("{} logs in in {} browsers", name, kOtherSessions));
  for (int session = 0; session < kOtherSessions; ++session) {
    log_in(url, name);
  }
  step(fmt::format("In one more: {} visits, and a logout among them; up to {} times", kVisits,
                   kRounds));
  for (int round = 0; round < kRounds; ++round) {
    const auto cookie = log_in(url, name);
    std::string requests;
    for (int visit = 0; visit < kVisits; ++visit) {
      requests += fmt::format("GET / HTTP/1.1\r\nHost: localhost\r\n{}: {}\r\n\r\n",
                              cookie.front().first, cookie.front().second);
    }
    RawConnection visits{url};
    visits.send(requests);
    visits.read_response();
    HttpClient{url}.post("/logout", "", cookie);
    for (int visit = 1; visit < kVisits; ++visit) {
      visits.read_response();
    }
    if (HttpClient{url}.get("/", cookie).contains("Logged in as")) {
      step("After the logout, and after the visits: GET / with the same cookie");
      journal().sent("GET /\nCookie: session=<her cookie>");
      differs(kAnonymous, "Logged in as " + name);
    }
  }
}

CHECK_TASK_OF(LateWrite, 2, LogoutBetweenTwoCommandsToRedis) {
  log_out_after_each_command("bert", "/logout",
                             [](int commands) { return commands > 1 ? "checks-twice" : ""; });
}

CHECK_TASK_OF(LateWrite, 2, LogoutEverywhereBetweenTwoCommandsToRedis) {
  log_out_after_each_command("cleo", "/logout-everywhere", [](int commands) {
    return commands > 1 ? "" : "asks-for-the-record-only";
  });
}

CHECK_TASK_OF(LateWrite, 3, LogoutAfterAReadFromFirestore) {
  auto environment = firestore().environment();
  environment["SESSION_STORE"] = "firestore:";
  start_two_servers(environment, "FIRESTORE_EMULATOR_HOST", slow_firestore().host());
  await_first_call();
  for (int reads = 1; reads < 5; ++reads) {
    const auto name = random_name("dora");
    const auto cookie = known_to_both(name);
    step(fmt::format("{}, at A: GET /, and Firestore's answer to read {} stays in the network",
                     name, reads));
    HeldCall read{slow_firestore(), "batchGet", HeldCall::answer(), reads};
    if (!log_out_meanwhile(
            name, cookie, "/logout", [&] { return read.has_come(milliseconds{0}); },
            [&] { read.let_go(); }, "")) {
      return;
    }
  }
}

}  // namespace

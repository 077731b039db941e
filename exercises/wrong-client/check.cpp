// Find the bug: the answer goes to the wrong client.

#include <fmt/format.h>

#include "exercise_check.hpp"
#include "hold_proxy.hpp"
#include "raw_connection.hpp"

namespace {

using namespace sessions::exercise;
using sessions::test::HoldProxy;
using sessions::test::HttpClient;
using sessions::test::RawConnection;
using sessions::test::wait_until;

constexpr std::chrono::seconds kPatience{5};

struct User {
  std::string name;
  std::string request;  ///< for the page, as bytes
};

/// A server whose store is slow when it is told to be.
class SlowStore : public ExerciseCheck {
 protected:
  using ExerciseCheck::ExerciseCheck;

  void start_server_on_slow_store() {
    store_.emplace(redis().port(), HoldProxy::Held::kReplies);
    server_ = &start_server({{"REDIS_URL", fmt::format("redis://127.0.0.1:{}", store_->port())}});
  }
  const std::string& url() const { return server_->url(); }

  User logged_in_user(std::string_view prefix) {
    const auto name = random_name(prefix);
    const auto cookie = HttpClient{url()}.post("/login", "username=" + name).cookie("session");
    if (!cookie) {
      not_checked("the login of " + name + " was refused");
    }
    return {name, fmt::format("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: session={}\r\n\r\n",
                              *cookie)};
  }

  std::size_t open_descriptors() {
    const auto count = server_->program().open_descriptors();
    if (count == 0) {
      not_checked("what the server has open cannot be seen");
    }
    return count;
  }

  /// Holds Redis' replies from now on, sends a request, and waits until Redis has replied.
  void ask_slow_store(RawConnection& client, const User& user) {
    store_->hold();
    journal().sent("GET /");
    client.send(user.request);
    if (!wait_until([&] { return store_->holds_bytes(); })) {
      store_->release();
      differs("a command from the server to Redis", "none");
    }
  }
  void release_store() { store_->release(); }

  /// Waits until the server has closed a descriptor. Not for long: a reply may take a second.
  void wait_for_close(std::size_t before) {
    wait_until([&] { return open_descriptors() < before; }, std::chrono::milliseconds{400});
  }

  /// Calls `attempt` until it says that the store was not too slow for the server.
  template <typename Attempt>
  void in_time(Attempt attempt) {
    for (int attempts = 0; attempts < 10; ++attempts) {
      if (attempt()) {
        return;
      }
    }
    not_checked("this machine is too busy: each time Redis' reply came too late for the server");
  }

 private:
  std::optional<HoldProxy> store_;
  Server* server_ = nullptr;
};

// The kernel gives the lowest number that is free, so the next client gets that of the one before.
CHECK_TASK_OF(SlowStore, 1, NobodyGetsTheAnswerOfAnAbortedRequest) {
  constexpr int kOthers = 12;
  start_server_on_slow_store();
  const auto anna = logged_in_user("anna");
  std::vector<User> others;
  for (int number = 0; number < kOthers; ++number) {
    others.push_back(logged_in_user("bert"));
  }
  step(fmt::format("{} and {} others log in", anna.name, kOthers));
  step(fmt::format("{}: GET /, and Redis' reply stays in the network", anna.name));
  step(fmt::format("{} leaves: her connection is aborted", anna.name));
  step("The others connect, one after the other: GET /");
  step("Redis' replies arrive");
  in_time([&] {
    RawConnection leaving{url()};
    ask_slow_store(leaving, anna);
    const auto before = open_descriptors();
    leaving.abort();
    wait_for_close(before);
    std::vector<std::unique_ptr<RawConnection>> clients;
    for (const auto& other : others) {
      clients.push_back(std::make_unique<RawConnection>(url()));
      clients.back()->send(other.request);
    }
    release_store();
    bool is_in_time = true;
    for (std::size_t number = 0; number < others.size(); ++number) {
      const auto page = clients[number]->read_response(false, kPatience);
      if (page.contains("Logged in as " + anna.name)) {
        const bool is_last = page.header("Connection").value_or("") == "close";
        differs("each gets a page of her own", fmt::format("one gets the page of {}", anna.name),
                is_last ? "keep-alive-off" : "");
      }
      is_in_time = is_in_time && page.status != 503;
      if (is_in_time) {
        expect_text(page, "Logged in as " + others[number].name);
      }
    }
    return is_in_time;
  });
}

// RFC 9293, section 3.6: one direction of a connection may be closed while the other goes on.
CHECK_TASK_OF(SlowStore, 2, ClientThatHasFinishedSendingGetsItsAnswer) {
  start_server_on_slow_store();
  const auto cleo = logged_in_user("cleo");
  step(fmt::format("{}: GET /, and Redis' reply stays in the network", cleo.name));
  step(fmt::format("{} says that she has finished sending, and waits for her page", cleo.name));
  step("Redis' reply arrives");
  in_time([&] {
    RawConnection client{url()};
    ask_slow_store(client, cleo);
    const auto before = open_descriptors();
    client.finish_sending();
    wait_for_close(before);
    release_store();
    std::string page;
    try {
      page = client.read_response(false, kPatience).body;
    } catch (const std::runtime_error&) {
      differs("Logged in as " + cleo.name, "no answer", "forgets-who-has-left");
    }
    return page.find("Logged in as " + cleo.name) != std::string::npos;
  });
}

CHECK_TASK_OF(SlowStore, 3, WhoeverHasLeftLeavesNothingOpen) {
  constexpr std::size_t kClients = 50;
  start_server_on_slow_store();
  const auto dora = logged_in_user("dora");
  const auto visit = [&] {
    RawConnection client{url()};
    client.send(dora.request);
    client.read_response();
  };
  visit();
  const auto before = open_descriptors();
  step(fmt::format("{} clients: GET /, and they leave when they have their page", kClients));
  journal().sent("GET /");
  for (std::size_t client = 0; client < kClients; ++client) {
    visit();
  }
  step("Count what the server has open: ls /proc/<its pid>/fd");
  if (!wait_until([&] { return open_descriptors() < before + kClients / 2; }, kPatience)) {
    differs("about as much as before", "one descriptor more for each client", "leaves-them-open");
  }
}

}  // namespace

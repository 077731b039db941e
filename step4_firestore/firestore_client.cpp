#include "firestore_client.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/dispatch.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <charconv>
#include <exception>
#include <future>
#include <iostream>

#include "errors.hpp"
#include "firestore_connection.hpp"
#include "store_check.hpp"

namespace sessions {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kTotalTime{5};
constexpr milliseconds kRollbackTime{500};
constexpr int kMaxAttempts = 5;
constexpr std::string_view kGoogleAddress = "https://firestore.googleapis.com";
constexpr std::string_view kEmulatorProject = "sessions-tutorial";

Deadline call_deadline() { return steady_clock::now() + kTotalTime; }

bool is_host_and_port(std::string_view text) {
  const auto colon = text.rfind(':');
  const auto digits = text.substr(std::min(colon, text.size() - 1) + 1);
  int port = 0;
  const auto* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, port);
  return colon != 0 && result.ec == std::errc{} && result.ptr == end && port > 0 && port < 65536 &&
         text.find_first_of("/?#@ ") == std::string_view::npos;
}

asio::awaitable<FirestoreDatabase> find_database(const Settings& settings, HttpTransport& http) {
  auto project = settings[kGoogleCloudProject];
  if (project.find_first_of("/?#% ") != std::string::npos) {
    throw SettingError{kGoogleCloudProject.name, "is not a project's id"};
  }
  if (const auto& host = settings[kFirestoreEmulatorHost]; !host.empty()) {
    if (!is_host_and_port(host)) {
      throw SettingError{kFirestoreEmulatorHost.name, "must be host:port, without http://"};
    }
    co_return FirestoreDatabase{"http://" + host,
                                project.empty() ? std::string{kEmulatorProject} : project,
                                std::make_shared<EmulatorOwner>()};
  }
  const auto found = co_await find_default_credentials(settings, http);
  if (project.empty()) {
    project = found.project;
  }
  if (project.empty()) {
    throw SettingError{kGoogleCloudProject.name,
                       "is not set, and the credentials name no project. Set it to the id that "
                       "gcloud projects list shows"};
  }
  co_return FirestoreDatabase{std::string{kGoogleAddress}, project, found.source};
}

/// Turns a failure that has to do with the moment into ServiceUnavailable and keeps others.
std::exception_ptr for_callers(std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const FirestoreError& error) {
    if (error.status() == "CANCELLED") {
      return std::make_exception_ptr(ClientStopped{});
    }
    if (is_transient(error.status()) || error.status() == "ABORTED") {
      return std::make_exception_ptr(
          ServiceUnavailable{fmt::format("Firestore: {}", error.what())});
    }
  } catch (const std::exception&) {
    return failure;
  }
  return failure;
}

template <typename Result>
asio::awaitable<Result> for_callers(asio::awaitable<Result> call) {
  std::exception_ptr failure;
  try {
    co_return co_await std::move(call);
  } catch (const std::exception&) {
    failure = std::current_exception();
  }
  std::rethrow_exception(for_callers(failure));
}

}  // namespace

FirestoreTransaction::FirestoreTransaction(std::shared_ptr<FirestoreConnection> connection,
                                           Deadline deadline)
    : connection_{std::move(connection)}, deadline_{deadline} {}

asio::awaitable<std::optional<FirestoreDocument>> FirestoreTransaction::get(std::string path) {
  if (!writes_.empty()) {
    throw std::logic_error{"a transaction's reads come before its writes"};
  }
  std::optional<FirestoreDocument> document;
  if (id_.empty()) {
    auto begun = co_await connection_->begin_and_read(path, retried_id_, deadline_);
    id_ = std::move(begun.transaction);
    document = std::move(begun.document);
  } else {
    document = co_await connection_->read(path, id_, deadline_);
  }
  read_[std::move(path)] = document;
  co_return document;
}

asio::awaitable<void> FirestoreTransaction::commit() {
  return connection_->commit(id_, writes_, read_, deadline_);
}

asio::awaitable<void> FirestoreTransaction::roll_back() {
  if (id_.empty()) {
    co_return;
  }
  try {
    // Others wait for the locks, so it is worth a moment even after the deadline.
    co_await connection_->roll_back(id_, steady_clock::now() + kRollbackTime);
  } catch (const FirestoreError& error) {
    spdlog::debug("rollback: {}", error.what());  // it is closed already, or will expire
  }
}

void FirestoreTransaction::start_again() {
  if (!id_.empty()) {
    retried_id_ = std::exchange(id_, {});
  }
  writes_.clear();
  read_.clear();
}

FirestoreClient::FirestoreClient(EventLoop& event_loop, const Settings& settings)
    : event_loop_{event_loop} {
  const auto http = std::make_shared<HttpTransport>(event_loop.context());
  auto database = event_loop.wait_for(find_database(settings, *http));
  const bool is_google = database.address == kGoogleAddress;
  description_ = fmt::format(
      "project {}, {}", database.project,
      is_google ? "Google's service" : "emulator at " + settings[kFirestoreEmulatorHost]);
  connection_ =
      std::make_shared<FirestoreConnection>(event_loop.context(), http, std::move(database));
}

FirestoreClient::FirestoreClient(EventLoop& event_loop, FirestoreDatabase database)
    : event_loop_{event_loop},
      description_{fmt::format("project {} at {}", database.project, database.address)},
      connection_{std::make_shared<FirestoreConnection>(
          event_loop.context(), std::make_shared<HttpTransport>(event_loop.context()),
          std::move(database))} {}

FirestoreClient::~FirestoreClient() {
  std::promise<void> stopped;
  asio::post(event_loop_.context(), [this, &stopped] {
    connection_->stop();
    stopped.set_value();
  });
  stopped.get_future().wait();
}

asio::awaitable<void> FirestoreClient::run(std::string key, TransactionFunction function) {
  const auto connection = connection_;
  const auto deadline = call_deadline();
  co_await asio::dispatch(event_loop_.context(), asio::use_awaitable);
  const auto turn = co_await connection->transactions().acquire(key, deadline);
  if (!turn) {
    throw ServiceUnavailable{"Firestore: too many transactions wait for the same session"};
  }
  FirestoreTransaction transaction{connection, deadline};
  auto backoff = connection->backoff();
  for (int attempt = 1;; ++attempt) {
    std::exception_ptr failure;
    bool aborted = false;
    try {
      co_await function(transaction);
      co_await transaction.commit();
      co_return;
    } catch (const FirestoreError& error) {
      failure = std::current_exception();
      aborted = error.status() == "ABORTED";
    } catch (const std::exception&) {
      failure = std::current_exception();
    }
    // Also after ABORTED, which need not come from Firestore itself: a lock that is left behind
    // would hold up the next attempt. The next one names this one all the same.
    co_await transaction.roll_back();
    bool again = aborted && attempt < kMaxAttempts;
    if (again) {
      again = co_await backoff.wait(deadline);
    }
    if (!again) {
      std::rethrow_exception(for_callers(failure));
    }
    transaction.start_again();
  }
}

asio::awaitable<std::optional<FirestoreDocument>> FirestoreClient::get(std::string path) {
  const auto connection = connection_;
  co_await asio::dispatch(event_loop_.context(), asio::use_awaitable);
  co_return co_await for_callers(connection->read(std::move(path), {}, call_deadline()));
}

asio::awaitable<void> FirestoreClient::commit(std::vector<FirestoreWrite> writes) {
  const auto connection = connection_;
  co_await asio::dispatch(event_loop_.context(), asio::use_awaitable);
  const FirestoreSnapshot nothing_read;
  co_await for_callers(connection->commit({}, std::move(writes), nothing_read, call_deadline()));
}

asio::awaitable<std::vector<FirestoreDocument>> FirestoreClient::run_query(FirestoreQuery query) {
  const auto connection = connection_;
  co_await asio::dispatch(event_loop_.context(), asio::use_awaitable);
  co_return co_await for_callers(connection->run_query(std::move(query), call_deadline()));
}

asio::awaitable<void> FirestoreClient::ping() { co_await get("sessions/check"); }

int check_firestore(EventLoop& event_loop, FirestoreClient& firestore) {
  const auto advice = fmt::format(
      "That was {}. Is the emulator running, and does {} name it? For Google's service: does the "
      "project have a Firestore database in native mode, and may these credentials use it?",
      firestore.description(), kFirestoreEmulatorHost.name);
  const int exit_code = check_store(event_loop, firestore.ping(), advice);
  if (exit_code == 0) {
    std::cout << firestore.description() << '\n';
  }
  return exit_code;
}

void warn_if_unreachable(EventLoop& event_loop, FirestoreClient& firestore) {
  warn_if_unreachable(event_loop, firestore.ping(), firestore.description());
}

}  // namespace sessions

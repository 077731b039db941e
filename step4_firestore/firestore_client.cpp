#include "firestore_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <asio/dispatch.hpp>
#include <asio/use_awaitable.hpp>
#include <charconv>
#include <exception>
#include <iostream>

#include "errors.hpp"
#include "store_check.hpp"

namespace sessions {
namespace {

constexpr std::chrono::seconds kTotalTime{5};
// Between attempts at a transaction. Who is refused often must not fall behind those who are not.
constexpr std::chrono::milliseconds kLongestPause{100};
constexpr std::string_view kGoogleAddress = "https://firestore.googleapis.com";
constexpr std::string_view kEmulatorProject = "sessions-tutorial";

Deadline call_deadline() { return Deadline::clock::now() + kTotalTime; }

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
  if (!found) {
    throw SettingError{
        kFirestoreEmulatorHost.name,
        "is not set, and there are no Google credentials. For the emulator: gcloud emulators "
        "firestore start --host-port=127.0.0.1:8085, then export "
        "FIRESTORE_EMULATOR_HOST=127.0.0.1:8085. For the real service: gcloud auth "
        "application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to the path of a key"};
  }
  if (project.empty()) {
    project = found->project;
  }
  if (project.empty()) {
    throw SettingError{kGoogleCloudProject.name,
                       "is not set, and the credentials name no project. Set it to the id that "
                       "gcloud projects list shows"};
  }
  co_return FirestoreDatabase{std::string{kGoogleAddress}, project, found->source};
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

asio::awaitable<std::optional<FirestoreDocument>> FirestoreTransaction::get(std::string path) {
  if (!writes_.empty()) {
    throw std::logic_error{"a transaction's reads come before its writes"};
  }
  const auto document = co_await api_->get(path, deadline_);
  // Two reads of one document count as the first: if they differ, the commit is refused.
  co_return read_.emplace(std::move(path), document).first->second;
}

//! [commit]
asio::awaitable<void> FirestoreTransaction::commit() {
  if (writes_.empty() && read_.size() <= 1) {
    co_return;  // what is in one document belongs together as it is
  }
  const bool depends_on_reads = !read_.empty();
  std::vector<FirestoreWrite> writes;
  for (auto& write : writes_) {
    const auto read = read_.extract(write.path());
    writes.push_back(read ? std::move(write).if_unchanged(read.mapped()) : std::move(write));
  }
  for (const auto& [path, document] : read_) {
    writes.push_back(FirestoreWrite::verify(path).if_unchanged(document));
  }
  try {
    co_await api_->commit(std::move(writes), deadline_);
  } catch (const FirestoreError& error) {
    const auto& status = error.status();
    if (depends_on_reads && (status == "FAILED_PRECONDITION" || status == "ALREADY_EXISTS")) {
      throw FirestoreError{"ABORTED", error.what()};  // somebody was faster
    }
    throw;
  }
}
//! [commit]

FirestoreClient::FirestoreClient(EventLoop& event_loop, const Settings& settings)
    : event_loop_{event_loop}, transactions_{event_loop.context()} {
  const auto http = std::make_shared<HttpTransport>(event_loop.context());
  auto database = event_loop.wait_for(find_database(settings, *http));
  const bool is_google = database.address == kGoogleAddress;
  description_ = fmt::format(
      "project {}, {}", database.project,
      is_google ? "Google's service" : "emulator at " + settings[kFirestoreEmulatorHost]);
  api_ = std::make_shared<FirestoreApi>(event_loop.context(), std::move(database), http);
}

FirestoreClient::FirestoreClient(EventLoop& event_loop, FirestoreDatabase database)
    : event_loop_{event_loop},
      transactions_{event_loop.context()},
      description_{fmt::format("project {} at {}", database.project, database.address)},
      api_{std::make_shared<FirestoreApi>(event_loop.context(), std::move(database),
                                          std::make_shared<HttpTransport>(event_loop.context()))} {}

FirestoreClient::~FirestoreClient() { api_->stop(); }

asio::awaitable<void> FirestoreClient::run(std::string key, TransactionFunction function) {
  const auto api = api_;
  auto transactions = transactions_;
  auto& event_loop = event_loop_.context();
  const auto deadline = call_deadline();
  co_await asio::dispatch(event_loop, asio::use_awaitable);
  const auto turn = co_await transactions.acquire(key, deadline);
  if (!turn) {
    throw ServiceUnavailable{"Firestore: too many transactions wait for the same session"};
  }
  Backoff backoff{event_loop, kLongestPause};
  for (;;) {
    FirestoreTransaction transaction{api, deadline};
    std::exception_ptr failure;
    bool again = false;
    try {
      co_await function(transaction);
      co_await transaction.commit();
      co_return;
    } catch (const FirestoreError& error) {
      failure = std::current_exception();
      again = error.status() == "ABORTED";
    }
    if (again) {
      again = co_await backoff.wait(deadline);
    }
    if (!again) {
      std::rethrow_exception(for_callers(failure));
    }
  }
}

asio::awaitable<std::optional<FirestoreDocument>> FirestoreClient::get(std::string path) {
  const auto api = api_;
  co_await asio::dispatch(event_loop_.context(), asio::use_awaitable);
  co_return co_await for_callers(api->get(std::move(path), call_deadline()));
}

asio::awaitable<void> FirestoreClient::commit(std::vector<FirestoreWrite> writes) {
  const auto api = api_;
  co_await asio::dispatch(event_loop_.context(), asio::use_awaitable);
  co_await for_callers(api->commit(std::move(writes), call_deadline()));
}

asio::awaitable<void> FirestoreClient::batch_write(std::vector<FirestoreWrite> writes) {
  const auto api = api_;
  co_await asio::dispatch(event_loop_.context(), asio::use_awaitable);
  co_await for_callers(api->batch_write(std::move(writes), call_deadline()));
}

asio::awaitable<std::vector<FirestoreDocument>> FirestoreClient::run_query(FirestoreQuery query) {
  const auto api = api_;
  co_await asio::dispatch(event_loop_.context(), asio::use_awaitable);
  co_return co_await for_callers(api->run_query(std::move(query), call_deadline()));
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

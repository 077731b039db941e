#include "firestore_client.hpp"

#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <stdexcept>
#include <string_view>

#include "errors.hpp"
#include "store_check.hpp"

namespace sessions {
namespace {

// Between attempts at a transaction. Who is refused often must not fall behind those who are not.
constexpr std::chrono::milliseconds kLongestPause{100};
constexpr std::string_view kGoogleAddress = "https://firestore.googleapis.com";
constexpr std::string_view kEmulatorProject = "sessions-tutorial";

bool is_host_and_port(std::string_view text) {
  const auto colon = text.rfind(':');
  const auto* end = text.data() + text.size();
  int port = 0;  // and stays so unless it is a number
  const auto result = std::from_chars(text.data() + (colon + 1), end, port);
  return colon != 0 && colon != std::string_view::npos && result.ptr == end && port > 0 &&
         port < 65536 && text.find_first_of("/?#@ ") == std::string_view::npos;
}

FirestoreDatabase find_database(EventLoop& event_loop, const Settings& settings) {
  auto project = settings[kGoogleCloudProject];
  if (project.find_first_of("/?#% ") != std::string::npos) {
    throw SettingError{kGoogleCloudProject.name, "is not a project's id"};
  }
  if (const auto& host = settings[kFirestoreEmulatorHost]; !host.empty()) {
    if (!is_host_and_port(host)) {
      throw SettingError{kFirestoreEmulatorHost.name, "must be host:port, without http://"};
    }
    return {"http://" + host, project.empty() ? std::string{kEmulatorProject} : project};
  }
  const auto found = find_default_credentials(event_loop, settings);
  if (!found) {
    throw SettingError{
        kFirestoreEmulatorHost.name,
        "is not set, and there are no Google credentials. For the emulator: gcloud emulators "
        "firestore start --host-port=127.0.0.1:8085, then export "
        "FIRESTORE_EMULATOR_HOST=127.0.0.1:8085. For the real service: gcloud auth "
        "application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to the path of a key"};
  }
  project = project.empty() ? found->project : project;
  if (project.empty()) {
    throw SettingError{kGoogleCloudProject.name,
                       "is not set, and the credentials name no project. Set it to the id that "
                       "gcloud projects list shows"};
  }
  return {std::string{kGoogleAddress}, project, *found};
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
/// False if somebody was faster.
asio::awaitable<bool> FirestoreTransaction::commit() {
  if (writes_.empty() && read_.size() <= 1) {
    co_return true;  // what is in one document belongs together as it is
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
    co_return true;
  } catch (const FirestoreError& error) {
    const auto& status = error.status();
    if (depends_on_reads && (status == "FAILED_PRECONDITION" || status == "ALREADY_EXISTS")) {
      co_return false;
    }
    throw;
  }
}
//! [commit]

FirestoreClient::FirestoreClient(EventLoop& event_loop, const Settings& settings)
    : FirestoreClient{event_loop, find_database(event_loop, settings)} {}

FirestoreClient::FirestoreClient(EventLoop& event_loop, const FirestoreDatabase& database)
    : event_loop_{event_loop},
      sessions_{std::make_shared<KeyedLock>(event_loop.context())},
      api_{std::make_shared<FirestoreApi>(event_loop.context(), database)},
      description_{fmt::format("project {}, {}", database.project,
                               database.address == kGoogleAddress
                                   ? "Google's service"
                                   : "emulator at " + database.address)} {}

FirestoreClient::~FirestoreClient() { api_->stop(); }

asio::awaitable<void> FirestoreClient::run(std::string key, TransactionFunction function) {
  const auto api = api_;
  const auto sessions = sessions_;
  auto& event_loop = event_loop_.context();
  const auto deadline = Deadline::clock::now() + kTotalTime;
  co_await asio::dispatch(event_loop, asio::use_awaitable);
  const auto turn = co_await sessions->acquire(key, deadline);
  if (!turn) {
    throw ServiceUnavailable{"Firestore: too many transactions wait for the same session"};
  }
  Backoff backoff{event_loop, kLongestPause};
  for (bool in_time = true; in_time;) {
    FirestoreTransaction transaction{api, deadline};
    co_await function(transaction);
    const bool is_committed = co_await transaction.commit();
    if (is_committed) {
      co_return;
    }
    in_time = co_await backoff.wait(deadline);
  }
  throw ServiceUnavailable{"Firestore: others change the same document all the time"};
}

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

#include "firestore_client.hpp"

#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <stdexcept>
#include <string_view>

#include "store_check.hpp"

namespace sessions {
namespace {

using nlohmann::json;

constexpr const char* kGoogleAddress = "https://firestore.googleapis.com";
// https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
constexpr int kNotFoundCode = 5;
constexpr int kFailedPreconditionCode = 9;

bool is_host_and_port(std::string_view text) {
  const auto colon = text.rfind(':');
  const auto* end = text.data() + text.size();
  std::uint16_t port = 0;  // and stays so unless it is a port's number
  const auto result = std::from_chars(text.data() + (colon + 1), end, port);
  return colon != 0 && colon != std::string_view::npos && result.ptr == end && port != 0 &&
         text.find_first_of("/?#@ ") == std::string_view::npos;
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
    return {"http://" + host, project.empty() ? "sessions-tutorial" : project};
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
  return {kGoogleAddress, project, *found};
}

asio::awaitable<std::optional<FirestoreDocument>> document_at(std::shared_ptr<FirestoreApi> api,
                                                              std::string path, Deadline deadline) {
  const auto& root = api->documents();
  const json request{{"documents", json::array({fmt::format("{}/{}", root, path)})}};
  FirestoreCall call{"batchGet", request.dump(), deadline};
  const auto answer = co_await api->send(call);
  const auto& result = answer.at(0);
  if (result.contains("missing")) {
    co_return std::nullopt;
  }
  co_return FirestoreDocument::from_json(result.at("found"), root);
}

std::string body_of(const std::vector<FirestoreWrite>& writes, const std::string& root) {
  json request{{"writes", json::array()}};
  for (const auto& write : writes) {
    request["writes"].push_back(write.to_json(root));
  }
  return request.dump();
}

ServiceUnavailable unknown_outcome(std::string_view reason) {
  return ServiceUnavailable{fmt::format("it is unknown whether a write was applied ({})", reason)};
}

/// Throws ServiceUnavailable if it is unknown which of the two.
asio::awaitable<void> apply_all_or_none(std::shared_ptr<FirestoreApi> api,
                                        std::vector<FirestoreWrite> writes, Deadline deadline) {
  FirestoreCall call{"commit", body_of(writes, api->documents()), deadline};
  std::string refusal;
  try {
    co_await api->send(call);
    co_return;
  } catch (const FirestoreError& error) {
    if (!call.may_be_applied) {
      throw;
    }
    refusal = error.what();
  } catch (const ServiceUnavailable& error) {
    if (!call.may_be_applied) {
      throw;
    }
    throw unknown_outcome(error.what());
  }
  // If it was applied and its answer lost, its own preconditions have refused it the next time, and
  // all documents are as it leaves them.
  for (const auto& write : writes) {
    const auto document = co_await document_at(api, write.path, deadline);
    if (!write.is_visible_in(document)) {
      throw unknown_outcome(refusal);
    }
  }
}

}  // namespace

asio::awaitable<std::optional<FirestoreDocument>> FirestoreTransaction::get(std::string path) {
  if (!writes_.empty()) {
    throw std::logic_error{"a transaction's reads come before its writes"};
  }
  const auto document = co_await document_at(api_, path, deadline_);
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
    const auto read = read_.extract(write.path);
    writes.push_back(read ? std::move(write).if_unchanged(read.mapped()) : std::move(write));
  }
  for (const auto& [path, document] : read_) {
    writes.push_back(FirestoreWrite::verify(path).if_unchanged(document));
  }
  try {
    co_await apply_all_or_none(api_, std::move(writes), deadline_);
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
    : event_loop_{event_loop.context()},
      sessions_{std::make_shared<KeyedLock>(event_loop.context())},
      api_{std::make_shared<FirestoreApi>(event_loop.context(), database)},
      description_{fmt::format("project {}, {}", database.project,
                               database.address == kGoogleAddress
                                   ? "Google's service"
                                   : "emulator at " + database.address)} {}

asio::awaitable<std::optional<FirestoreDocument>> FirestoreClient::get(std::string path) {
  return document_at(api_, std::move(path), new_deadline());
}

asio::awaitable<void> FirestoreClient::commit(std::vector<FirestoreWrite> writes) {
  return apply_all_or_none(api_, std::move(writes), new_deadline());
}

asio::awaitable<void> FirestoreClient::batch_write(std::vector<FirestoreWrite> writes) {
  const auto api = api_;
  FirestoreCall call{"batchWrite", body_of(writes, api->documents()), new_deadline()};
  const auto answer = co_await api->send(call);
  for (const auto& status : answer.at("status")) {
    const int code = status.value("code", 0);
    if (code != 0 && code != kNotFoundCode && code != kFailedPreconditionCode) {
      throw ServiceUnavailable{"Firestore: " + status.value("message", "a write was not applied")};
    }
  }
}

asio::awaitable<std::vector<FirestoreDocument>> FirestoreClient::run_query(FirestoreQuery query) {
  const auto api = api_;
  FirestoreCall call{"runQuery", query.to_json().dump(), new_deadline()};
  const auto answer = co_await api->send(call);
  std::vector<FirestoreDocument> documents;
  for (const auto& element : answer) {
    if (const auto found = element.find("document"); found != element.end()) {
      documents.push_back(FirestoreDocument::from_json(*found, api->documents()));
    }
  }
  co_return documents;
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

}  // namespace sessions

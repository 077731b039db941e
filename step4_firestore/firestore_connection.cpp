#include "firestore_connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <random>

#include "errors.hpp"

namespace sessions {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLongestBackoff{800};
constexpr milliseconds kRollbackTime{500};
constexpr std::chrono::seconds kPatienceWithBeginning{30};

FirestoreError to_error(const HttpTransportError& error) {
  switch (error.kind()) {
    case HttpTransportError::Kind::kTimedOut:
      return {"DEADLINE_EXCEEDED", error.what()};
    case HttpTransportError::Kind::kStopped:
      return {"CANCELLED", error.what()};
    case HttpTransportError::Kind::kNoConnection:
      break;
  }
  return {"UNAVAILABLE", error.what()};
}

/// For an answer that does not come from Firestore itself but from something on the way.
std::string status_of(long http_status) {
  switch (http_status) {
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "NOT_FOUND";
    case 429:
      return "RESOURCE_EXHAUSTED";
    case 504:
      return "DEADLINE_EXCEEDED";
    default:
      return http_status >= 500 ? "UNAVAILABLE" : "UNKNOWN";
  }
}

/// Firestore's own words are in the status: the HTTP status is the same for ABORTED and
/// ALREADY_EXISTS, and for FAILED_PRECONDITION and INVALID_ARGUMENT.
FirestoreError to_error(long http_status, const json& answer) {
  const auto& object = answer.is_array() && !answer.empty() ? answer.front() : answer;
  if (object.is_object() && object.contains("error") && object["error"].is_object()) {
    const auto& error = object["error"];
    return {error.value("status", status_of(http_status)), error.value("message", "")};
  }
  return {status_of(http_status), fmt::format("HTTP status {}", http_status)};
}

}  // namespace

bool is_transient(std::string_view status) {
  constexpr std::array<std::string_view, 4> kTransient{"UNAVAILABLE", "DEADLINE_EXCEEDED",
                                                       "INTERNAL", "RESOURCE_EXHAUSTED"};
  return std::ranges::find(kTransient, status) != kTransient.end();
}

asio::awaitable<bool> Backoff::wait(Deadline deadline) {
  std::random_device random;
  std::uniform_int_distribution<milliseconds::rep> up_to_longest{0, longest_.count()};
  const auto end = steady_clock::now() + milliseconds{up_to_longest(random)};
  longest_ = std::min(2 * longest_, kLongestBackoff);
  if (end >= deadline) {
    co_return false;
  }
  asio::steady_timer timer{event_loop_, end};
  co_await timer.async_wait(asio::use_awaitable);
  co_return true;
}

FirestoreConnection::FirestoreConnection(asio::io_context& event_loop,
                                         std::shared_ptr<HttpTransport> http,
                                         FirestoreDatabase database)
    : event_loop_{event_loop},
      http_{std::move(http)},
      tokens_{event_loop, std::move(database.credentials)},
      documents_{fmt::format("projects/{}/databases/(default)/documents", database.project)},
      address_{fmt::format("{}/v1/{}", database.address, documents_)},
      transactions_{event_loop} {}

/// A transaction that is being begun, and who waits for that.
struct FirestoreConnection::Beginning {
  Beginning(asio::io_context& event_loop, Deadline deadline) : timer{event_loop, deadline} {}

  asio::steady_timer timer;  ///< cancelled when the answer is there
  std::optional<ReadResult> result;
  std::optional<FirestoreError> failure;
  bool is_abandoned = false;
};

asio::awaitable<std::optional<FirestoreDocument>> FirestoreConnection::read(std::string path,
                                                                            std::string transaction,
                                                                            Deadline deadline) {
  auto request = read_request(path);
  if (!transaction.empty()) {
    request["transaction"] = std::move(transaction);
  }
  const auto answer =
      co_await call_persistently("batchGet", std::move(request), deadline, deadline);
  co_return to_read_result(answer).document;
}

asio::awaitable<FirestoreConnection::ReadResult> FirestoreConnection::begin_and_read(
    std::string path, std::string retried, Deadline deadline) {
  auto request = read_request(path);
  // Spelled out, because the default is a transaction that only reads.
  auto& read_write = request["newTransaction"]["readWrite"] = json::object();
  if (!retried.empty()) {
    read_write["retryTransaction"] = std::move(retried);
  }
  const auto beginning = std::make_shared<Beginning>(event_loop_, deadline);
  asio::co_spawn(event_loop_, finish(beginning, std::move(request), deadline), asio::detached);
  std::error_code ignored;
  co_await beginning->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  if (beginning->result) {
    co_return std::move(*beginning->result);
  }
  if (beginning->failure) {
    throw *beginning->failure;
  }
  beginning->is_abandoned = true;
  throw FirestoreError{"DEADLINE_EXCEEDED", "no answer in time"};
}

asio::awaitable<void> FirestoreConnection::finish(std::shared_ptr<Beginning> beginning,
                                                  json request, Deadline deadline) {
  const auto self = shared_from_this();
  try {
    const auto answer = co_await call_persistently("batchGet", std::move(request), deadline,
                                                   deadline + kPatienceWithBeginning);
    beginning->result = to_read_result(answer);
    if (beginning->is_abandoned) {
      co_await roll_back(beginning->result->transaction, steady_clock::now() + kRollbackTime);
    }
  } catch (const FirestoreError& error) {
    beginning->failure = error;
  } catch (const std::exception& error) {
    beginning->failure = FirestoreError{"UNKNOWN", error.what()};
  }
  beginning->timer.cancel();
}

json FirestoreConnection::read_request(const std::string& path) const {
  return {{"documents", json::array({fmt::format("{}/{}", documents_, path)})}};
}

FirestoreConnection::ReadResult FirestoreConnection::to_read_result(const json& answer) const {
  // The transaction's id may come with the document or alone, before it.
  ReadResult result;
  bool complete = false;
  for (const auto& element : answer) {
    result.transaction = element.value("transaction", result.transaction);
    if (const auto found = element.find("found"); found != element.end()) {
      result.document = to_document(*found);
    }
    complete = complete || element.contains("found") || element.contains("missing");
  }
  if (!complete) {
    throw FirestoreError{"INTERNAL", "the answer neither has the document nor says it is missing"};
  }
  return result;
}

asio::awaitable<void> FirestoreConnection::commit(std::string transaction,
                                                  std::vector<FirestoreWrite> writes,
                                                  FirestoreSnapshot read_before,
                                                  Deadline deadline) {
  json request{{"writes", json::array()}};
  for (const auto& write : writes) {
    request["writes"].push_back(write.to_json(documents_));
  }
  if (!transaction.empty()) {
    request["transaction"] = transaction;
  }
  auto backoff = this->backoff();
  std::optional<FirestoreError> failure;
  for (bool sent_before = false;; sent_before = true) {
    try {
      co_await call("commit", request, deadline);
      co_return;
    } catch (const FirestoreError& error) {
      failure = error;
    }
    if (!is_transient(failure->status())) {
      if (!sent_before) {
        throw *failure;
      }
      break;
    }
    // The same commit again: the server applies it once at most, while a new transaction would
    // count a second time what this one may have counted.
    const bool again = co_await backoff.wait(deadline);
    if (!again) {
      throw ServiceUnavailable{
          fmt::format("it is unknown whether a write was applied ({})", failure->what())};
    }
  }
  // Refused now, but an earlier copy may have been applied, and the refusal may mean just that.
  const bool applied = co_await was_applied(std::move(writes), std::move(read_before), deadline);
  if (applied) {
    co_return;
  }
  if (!transaction.empty()) {
    throw FirestoreError{"ABORTED", failure->what()};
  }
  throw *failure;
}

/// Called when it is certain that the commit is no longer under way. Throws ServiceUnavailable if
/// others have written since, so that nobody can tell any more.
asio::awaitable<bool> FirestoreConnection::was_applied(std::vector<FirestoreWrite> writes,
                                                       FirestoreSnapshot read_before,
                                                       Deadline deadline) {
  for (const auto& write : writes) {
    const auto now = co_await read(write.path(), {}, deadline);
    if (write.is_visible_in(now)) {
      continue;
    }
    const auto before = read_before.find(write.path());
    const auto update_time = [](const std::optional<FirestoreDocument>& document) {
      return document ? document->update_time : std::string{};
    };
    if (before == read_before.end() || update_time(before->second) == update_time(now)) {
      co_return false;
    }
    throw ServiceUnavailable{"it is unknown whether a write was applied, and others wrote since"};
  }
  co_return true;
}

asio::awaitable<void> FirestoreConnection::roll_back(std::string transaction, Deadline deadline) {
  json request{{"transaction", std::move(transaction)}};
  co_await call("rollback", std::move(request), deadline);
}

asio::awaitable<std::vector<FirestoreDocument>> FirestoreConnection::run_query(FirestoreQuery query,
                                                                               Deadline deadline) {
  const auto answer = co_await call_persistently("runQuery", query.to_json(), deadline, deadline);
  std::vector<FirestoreDocument> documents;
  for (const auto& element : answer) {
    if (const auto found = element.find("document"); found != element.end()) {
      documents.push_back(to_document(*found));
    }
  }
  co_return documents;
}

asio::awaitable<json> FirestoreConnection::call_persistently(std::string method, json request,
                                                             Deadline deadline, Deadline patience) {
  auto backoff = this->backoff();
  for (;;) {
    std::optional<FirestoreError> failure;
    try {
      co_return co_await call(method, request, patience);
    } catch (const FirestoreError& error) {
      failure = error;
    }
    if (!is_transient(failure->status())) {
      throw *failure;
    }
    const bool again = co_await backoff.wait(deadline);
    if (!again) {
      throw *failure;
    }
  }
}

asio::awaitable<json> FirestoreConnection::call(std::string method, json request,
                                                Deadline patience) {
  const auto response = co_await post(std::move(method), request.dump(), patience);
  const auto answer = json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (response.status != 200) {
    throw to_error(response.status, answer);
  }
  if (answer.is_discarded()) {
    throw FirestoreError{"INTERNAL", "the answer is not JSON"};
  }
  co_return answer;
}

asio::awaitable<HttpTransportResponse> FirestoreConnection::post(std::string method,
                                                                 std::string body,
                                                                 Deadline deadline) {
  for (bool token_was_refused = false;; token_was_refused = true) {
    std::string token;
    std::optional<FirestoreError> failure;
    try {
      token = co_await tokens_.token(*http_, deadline);
      HttpTransportRequest request{
          .url = fmt::format("{}:{}", address_, method),
          .headers = {"Content-Type: application/json", "Authorization: Bearer " + token},
          .body = body,
          .deadline = deadline};
      auto response = co_await http_->send(std::move(request));
      if (response.status != 401 || token_was_refused) {
        co_return response;
      }
      tokens_.reject(token);
    } catch (const HttpTransportError& error) {
      failure = to_error(error);
    } catch (const ServiceUnavailable& error) {
      failure = FirestoreError{"UNAVAILABLE", error.what()};
    }
    if (failure) {
      throw *failure;
    }
  }
}

FirestoreDocument FirestoreConnection::to_document(const json& found) const {
  const auto& name = found.at("name").get_ref<const std::string&>();
  return {name.substr(std::min(documents_.size() + 1, name.size())),
          FirestoreFields{found.value("fields", json::object())},
          found.at("updateTime").get<std::string>()};
}

}  // namespace sessions

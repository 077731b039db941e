#include "firestore_api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <exception>
#include <random>
#include <string_view>

#include "errors.hpp"

namespace sessions {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kLongestPause{800};
// https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
constexpr int kNotFoundCode = 5;
constexpr int kFailedPreconditionCode = 9;

/// Firestore's own words are in the status: the HTTP status is the same for ABORTED and
/// ALREADY_EXISTS, and for FAILED_PRECONDITION and INVALID_ARGUMENT.
FirestoreError to_error(long http_status, const json& answer) {
  const auto& object = answer.is_array() && !answer.empty() ? answer.front() : answer;
  const auto error = object.is_object() ? object.value("error", json{}) : json{};
  if (error.is_object()) {
    return {error.value("status", "UNKNOWN"), error.value("message", "")};
  }
  // It comes from something on the way.
  const bool may_pass = http_status < 300 || http_status == 429 || http_status >= 500;
  return {may_pass ? "UNAVAILABLE" : "UNKNOWN", fmt::format("HTTP status {}", http_status)};
}

/// True if the status says something of the moment and nothing of the request.
bool is_transient(std::string_view status) {
  constexpr std::array<std::string_view, 5> kTransient{
      "ABORTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED"};
  return std::ranges::find(kTransient, status) != kTransient.end();
}

ServiceUnavailable unknown_outcome(const std::exception& reason) {
  return ServiceUnavailable{
      fmt::format("it is unknown whether a write was applied ({})", reason.what())};
}

}  // namespace

asio::awaitable<bool> Backoff::wait(Deadline deadline) {
  std::random_device random;
  std::uniform_int_distribution<milliseconds::rep> up_to_longest{0, longest_.count()};
  const auto end = std::chrono::steady_clock::now() + milliseconds{up_to_longest(random)};
  longest_ = std::min(2 * longest_, limit_);
  if (end >= deadline) {
    co_return false;
  }
  asio::steady_timer timer{event_loop_, end};
  co_await timer.async_wait(asio::use_awaitable);
  co_return true;
}

/// A call, however many times it is sent.
struct FirestoreApi::Call {
  std::string method;  ///< such as "commit"
  std::string body;
  Deadline deadline;
  bool token_was_refused = false;
  bool may_be_applied = false;  ///< it was sent, and no answer told what became of it
};

FirestoreApi::FirestoreApi(asio::io_context& event_loop, const FirestoreDatabase& database)
    : event_loop_{event_loop},
      http_{event_loop},
      documents_{fmt::format("projects/{}/databases/(default)/documents", database.project)},
      address_{fmt::format("{}/v1/{}", database.address, documents_)},
      headers_{"Content-Type: application/json"},
      tokens_{event_loop, http_, database.credentials} {
  if (const auto& project = database.credentials.quota_project; !project.empty()) {
    headers_.push_back("x-goog-user-project: " + project);
  }
}

asio::awaitable<std::optional<FirestoreDocument>> FirestoreApi::get(std::string path,
                                                                    Deadline deadline) {
  const json request{{"documents", json::array({fmt::format("{}/{}", documents_, path)})}};
  Call call{"batchGet", request.dump(), deadline};
  const auto answer = co_await send(call);
  const auto& result = answer.at(0);
  if (result.contains("missing")) {
    co_return std::nullopt;
  }
  co_return FirestoreDocument::from_json(result.at("found"), documents_);
}

asio::awaitable<void> FirestoreApi::commit(std::vector<FirestoreWrite> writes, Deadline deadline) {
  Call call{"commit", body_of(writes), deadline};
  std::optional<FirestoreError> refusal;
  try {
    co_await send(call);
    co_return;
  } catch (const FirestoreError& error) {
    refusal = error;
  } catch (const ServiceUnavailable& error) {
    if (call.may_be_applied) {
      throw unknown_outcome(error);
    }
    throw;
  }
  if (!call.may_be_applied) {
    throw FirestoreError{*refusal};
  }
  // If it was applied and its answer lost, its own preconditions have refused it the next time, and
  // all documents are as it leaves them.
  for (const auto& write : writes) {
    const auto document = co_await get(write.path(), deadline);
    if (!write.is_visible_in(document)) {
      throw unknown_outcome(*refusal);
    }
  }
}

asio::awaitable<void> FirestoreApi::batch_write(std::vector<FirestoreWrite> writes,
                                                Deadline deadline) {
  Call call{"batchWrite", body_of(writes), deadline};
  const auto answer = co_await send(call);
  for (const auto& status : answer.at("status")) {
    const int code = status.value("code", 0);
    if (code != 0 && code != kNotFoundCode && code != kFailedPreconditionCode) {
      throw ServiceUnavailable{"Firestore: " + status.value("message", "a write was not applied")};
    }
  }
}

asio::awaitable<std::vector<FirestoreDocument>> FirestoreApi::run_query(FirestoreQuery query,
                                                                        Deadline deadline) {
  Call call{"runQuery", query.to_json().dump(), deadline};
  const auto answer = co_await send(call);
  std::vector<FirestoreDocument> documents;
  for (const auto& element : answer) {
    if (const auto found = element.find("document"); found != element.end()) {
      documents.push_back(FirestoreDocument::from_json(*found, documents_));
    }
  }
  co_return documents;
}

/// Sends a call until it succeeds or is refused. It may be carried out more than once.
asio::awaitable<json> FirestoreApi::send(Call& call) {
  Backoff backoff{event_loop_, kLongestPause};
  for (;;) {
    std::string reason;
    try {
      co_return co_await send_once(call);
    } catch (const ClientStopped&) {
      throw;
    } catch (const ServiceUnavailable& error) {
      reason = error.what();
    }
    const bool in_time = co_await backoff.wait(call.deadline);
    if (!in_time) {
      throw ServiceUnavailable{"Firestore: " + reason};
    }
  }
}

/// Throws ServiceUnavailable if it is worth sending the same request again.
asio::awaitable<json> FirestoreApi::send_once(Call& call) {
  const auto token = co_await tokens_.token(call.deadline);
  HttpTransportRequest request{.url = fmt::format("{}:{}", address_, call.method),
                               .headers = headers_,
                               .body = call.body,
                               .deadline = call.deadline};
  request.headers.push_back("Authorization: Bearer " + token);
  HttpTransportResponse response;
  try {
    response = co_await http_.send(std::move(request));
  } catch (const AnswerLost&) {
    call.may_be_applied = true;
    throw;
  }
  const auto answer = json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (response.status == 200 && !answer.is_discarded()) {
    co_return answer;
  }
  const auto error = to_error(response.status, answer);
  if (response.status == 401 && !std::exchange(call.token_was_refused, true)) {
    tokens_.reject(token);
  } else if (!is_transient(error.status())) {
    throw error;
  } else if (error.status() != "ABORTED") {  // which says that nothing was written
    call.may_be_applied = true;
  }
  throw ServiceUnavailable{error.what()};
}

std::string FirestoreApi::body_of(const std::vector<FirestoreWrite>& writes) const {
  json request{{"writes", json::array()}};
  for (const auto& write : writes) {
    request["writes"].push_back(write.to_json(documents_));
  }
  return request.dump();
}

}  // namespace sessions

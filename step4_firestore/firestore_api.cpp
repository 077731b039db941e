#include "firestore_api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <random>

#include "errors.hpp"

namespace sessions {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kLongestPause{800};
// https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
constexpr int kNotFoundCode = 5;
constexpr int kFailedPreconditionCode = 9;

/// Nothing was sent, so nothing was applied.
class NotSent : public FirestoreError {
 public:
  explicit NotSent(const std::string& reason) : FirestoreError{"UNAVAILABLE", reason} {}
};

std::exception_ptr to_error(const HttpTransportError& error) {
  switch (error.kind()) {
    case HttpTransportError::Kind::kNotSent:
      return std::make_exception_ptr(NotSent{error.what()});
    case HttpTransportError::Kind::kNoAnswer:
      return std::make_exception_ptr(FirestoreError{"UNAVAILABLE", error.what()});
    case HttpTransportError::Kind::kTimedOut:
      return std::make_exception_ptr(FirestoreError{"DEADLINE_EXCEEDED", error.what()});
    case HttpTransportError::Kind::kStopped:
      break;
  }
  return std::make_exception_ptr(FirestoreError{"CANCELLED", error.what()});
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
  const auto end = std::chrono::steady_clock::now() + milliseconds{up_to_longest(random)};
  longest_ = std::min(2 * longest_, limit_);
  if (end >= deadline) {
    co_return false;
  }
  asio::steady_timer timer{event_loop_, end};
  co_await timer.async_wait(asio::use_awaitable);
  co_return true;
}

FirestoreApi::FirestoreApi(asio::io_context& event_loop, FirestoreDatabase database,
                           std::shared_ptr<HttpTransport> http)
    : event_loop_{event_loop},
      http_{std::move(http)},
      tokens_{event_loop, std::move(database.credentials)},
      documents_{fmt::format("projects/{}/databases/(default)/documents", database.project)},
      address_{fmt::format("{}/v1/{}", database.address, documents_)} {}

asio::awaitable<std::optional<FirestoreDocument>> FirestoreApi::get(std::string path,
                                                                    Deadline deadline) {
  json request{{"documents", json::array({fmt::format("{}/{}", documents_, path)})}};
  const auto answer = co_await call("batchGet", std::move(request), deadline);
  for (const auto& element : answer) {
    if (const auto found = element.find("found"); found != element.end()) {
      co_return to_document(*found);
    }
    if (element.contains("missing")) {
      co_return std::nullopt;
    }
  }
  throw FirestoreError{"INTERNAL", "the answer neither has the document nor says it is missing"};
}

asio::awaitable<void> FirestoreApi::commit(std::vector<FirestoreWrite> writes, Deadline deadline) {
  const auto body = to_json(writes).dump();
  Backoff backoff{event_loop_, kLongestPause};
  for (bool may_be_applied = false;;) {
    std::optional<FirestoreError> failure;
    try {
      co_await call_once("commit", body, deadline);
      co_return;
    } catch (const NotSent& error) {
      failure = error;
    } catch (const FirestoreError& error) {
      failure = error;
      may_be_applied = may_be_applied || is_transient(error.status());
    }
    // The same commit again, also when the answer was lost: where it has preconditions, an applied
    // one makes the next one fail. ABORTED is never applied, but cannot speak for those before it.
    bool again = is_transient(failure->status()) || failure->status() == "ABORTED";
    if (!again && may_be_applied) {
      const bool applied = co_await are_visible(std::move(writes), deadline);
      if (applied) {
        co_return;
      }
    }
    if (again) {
      again = co_await backoff.wait(deadline);
    }
    if (!again && may_be_applied) {
      throw ServiceUnavailable{
          fmt::format("it is unknown whether a write was applied ({})", failure->what())};
    }
    if (!again) {
      throw *failure;
    }
  }
}

/// True if all documents are as these writes leave them.
asio::awaitable<bool> FirestoreApi::are_visible(std::vector<FirestoreWrite> writes,
                                                Deadline deadline) {
  for (const auto& write : writes) {
    const auto document = co_await get(write.path(), deadline);
    if (!write.is_visible_in(document)) {
      co_return false;
    }
  }
  co_return true;
}

asio::awaitable<void> FirestoreApi::batch_write(std::vector<FirestoreWrite> writes,
                                                Deadline deadline) {
  const auto answer = co_await call("batchWrite", to_json(writes), deadline);
  for (const auto& status : answer.at("status")) {
    const int code = status.value("code", 0);
    if (code != 0 && code != kNotFoundCode && code != kFailedPreconditionCode) {
      throw FirestoreError{"UNAVAILABLE", status.value("message", "a write was not applied")};
    }
  }
}

asio::awaitable<std::vector<FirestoreDocument>> FirestoreApi::run_query(FirestoreQuery query,
                                                                        Deadline deadline) {
  const auto answer = co_await call("runQuery", query.to_json(), deadline);
  std::vector<FirestoreDocument> documents;
  for (const auto& element : answer) {
    if (const auto found = element.find("document"); found != element.end()) {
      documents.push_back(to_document(*found));
    }
  }
  co_return documents;
}

/// A call that may be carried out more than once.
asio::awaitable<json> FirestoreApi::call(std::string method, json request, Deadline deadline) {
  const auto body = request.dump();
  Backoff backoff{event_loop_, kLongestPause};
  for (;;) {
    std::optional<FirestoreError> failure;
    try {
      co_return co_await call_once(method, body, deadline);
    } catch (const FirestoreError& error) {
      failure = error;
    }
    bool again = is_transient(failure->status());
    if (again) {
      again = co_await backoff.wait(deadline);
    }
    if (!again) {
      throw *failure;
    }
  }
}

asio::awaitable<json> FirestoreApi::call_once(std::string method, std::string body,
                                              Deadline deadline) {
  const auto response = co_await post(std::move(method), std::move(body), deadline);
  const auto answer = json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (response.status != 200) {
    throw to_error(response.status, answer);
  }
  if (answer.is_discarded()) {
    throw FirestoreError{"INTERNAL", "the answer is not JSON"};
  }
  co_return answer;
}

asio::awaitable<HttpTransportResponse> FirestoreApi::post(std::string method, std::string body,
                                                          Deadline deadline) {
  for (bool token_was_refused = false;; token_was_refused = true) {
    std::exception_ptr failure;
    try {
      const auto token = co_await tokens_.token(*http_, deadline);
      HttpTransportRequest request{
          .url = fmt::format("{}:{}", address_, method),
          .headers = {"Content-Type: application/json", "Authorization: Bearer " + token.value},
          .body = body,
          .deadline = deadline};
      if (!token.quota_project.empty()) {
        request.headers.push_back("x-goog-user-project: " + token.quota_project);
      }
      auto response = co_await http_->send(std::move(request));
      if (response.status != 401 || token_was_refused) {
        co_return response;
      }
      tokens_.reject(token.value);
    } catch (const HttpTransportError& error) {
      failure = to_error(error);
    } catch (const ServiceUnavailable& error) {
      failure = std::make_exception_ptr(NotSent{error.what()});  // there is no token
    }
    if (failure) {
      std::rethrow_exception(failure);
    }
  }
}

json FirestoreApi::to_json(const std::vector<FirestoreWrite>& writes) const {
  json request{{"writes", json::array()}};
  for (const auto& write : writes) {
    request["writes"].push_back(write.to_json(documents_));
  }
  return request;
}

FirestoreDocument FirestoreApi::to_document(const json& found) const {
  const auto& name = found.at("name").get_ref<const std::string&>();
  return {name.substr(std::min(documents_.size() + 1, name.size())),
          FirestoreFields{found.value("fields", json::object())},
          found.at("updateTime").get<std::string>()};
}

}  // namespace sessions

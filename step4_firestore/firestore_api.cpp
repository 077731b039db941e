#include "firestore_api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <asio/dispatch.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <random>
#include <string_view>

#include "errors.hpp"

namespace sessions {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kLongestPause{800};
// These say something of the moment and nothing of the request.
constexpr std::array<std::string_view, 5> kTransient{"ABORTED", "UNAVAILABLE", "DEADLINE_EXCEEDED",
                                                     "INTERNAL", "RESOURCE_EXHAUSTED"};

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

FirestoreApi::FirestoreApi(asio::io_context& event_loop, FirestoreDatabase database)
    : event_loop_{event_loop},
      database_{std::move(database)},
      documents_{fmt::format("projects/{}/databases/(default)/documents", database_.project)},
      http_{event_loop},
      tokens_{event_loop, http_, database_.credentials} {}

asio::awaitable<json> FirestoreApi::send(FirestoreCall& call) {
  co_await asio::dispatch(event_loop_, asio::use_awaitable);
  Backoff backoff{event_loop_, kLongestPause};
  std::string reason;
  do {
    try {
      co_return co_await send_once(call);
    } catch (const ClientStopped&) {
      throw;
    } catch (const ServiceUnavailable& error) {
      reason = error.what();
    }
  } while (co_await backoff.wait(call.deadline));
  throw ServiceUnavailable{"Firestore: " + reason};
}

/// Throws ServiceUnavailable if it is worth sending the same request again.
asio::awaitable<json> FirestoreApi::send_once(FirestoreCall& call) {
  const auto token = co_await tokens_.token(call.deadline);
  HttpTransportRequest request{
      .url = fmt::format("{}/v1/{}:{}", database_.address, documents_, call.method),
      .headers = {"Content-Type: application/json", "Authorization: Bearer " + token},
      .body = call.body,
      .deadline = call.deadline};
  if (const auto& project = database_.credentials.quota_project; !project.empty()) {
    request.headers.push_back("x-goog-user-project: " + project);
  }
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
  } else if (std::ranges::find(kTransient, error.status()) == kTransient.end()) {
    throw error;
  } else if (error.status() != "ABORTED") {  // which says that nothing was written
    call.may_be_applied = true;
  }
  throw ServiceUnavailable{error.what()};
}

}  // namespace sessions

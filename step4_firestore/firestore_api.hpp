// The calls of Firestore's REST API, version 1
// (https://cloud.google.com/firestore/docs/reference/rest), that a FirestoreClient and its
// transactions share.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "firestore_document.hpp"
#include "google_credentials.hpp"
#include "http_transport.hpp"

namespace sessions {

/// Firestore understood the request and refused it.
class FirestoreError : public std::runtime_error {
 public:
  FirestoreError(std::string status, const std::string& message)
      : std::runtime_error{status + ": " + message}, status_{std::move(status)} {}

  /// A name such as "NOT_FOUND" (https://cloud.google.com/apis/design/errors#handling_errors).
  const std::string& status() const noexcept { return status_; }

 private:
  std::string status_;
};

/// Where a database is and how to get in.
struct FirestoreDatabase {
  std::string address;  ///< such as "https://firestore.googleapis.com"
  std::string project;
  GoogleCredentials credentials = {};
};

/// Random pauses that grow up to a limit: exponential backoff with full jitter.
class Backoff {
 public:
  Backoff(asio::io_context& event_loop, std::chrono::milliseconds limit)
      : event_loop_{event_loop}, limit_{limit} {}

  /// Returns false, without waiting, if the deadline would pass.
  asio::awaitable<bool> wait(Deadline deadline);

 private:
  asio::io_context& event_loop_;
  const std::chrono::milliseconds limit_;
  std::chrono::milliseconds longest_{25};
};

/// Lives on the event loop: everything happens on its thread. What fails for reasons of the moment
/// is sent again until the deadline. Calls throw FirestoreError if Firestore refuses the request,
/// ServiceUnavailable if the deadline passes, ClientStopped after stop().
class FirestoreApi {
 public:
  FirestoreApi(asio::io_context& event_loop, const FirestoreDatabase& database);

  asio::awaitable<std::optional<FirestoreDocument>> get(std::string path, Deadline deadline);
  /// Applies all writes or none. Throws ServiceUnavailable if it is unknown which of the two.
  asio::awaitable<void> commit(std::vector<FirestoreWrite> writes, Deadline deadline);
  /// Applies each write by itself, at most 500 of them. Those whose precondition fails are skipped.
  /// May apply a write twice, unless it has a precondition.
  asio::awaitable<void> batch_write(std::vector<FirestoreWrite> writes, Deadline deadline);
  asio::awaitable<std::vector<FirestoreDocument>> run_query(FirestoreQuery query,
                                                            Deadline deadline);

  /// May be called on any thread.
  void stop() { http_.stop(); }

 private:
  struct Call;

  asio::awaitable<nlohmann::json> send(Call& call);
  asio::awaitable<nlohmann::json> send_once(Call& call);
  std::string body_of(const std::vector<FirestoreWrite>& writes) const;

  asio::io_context& event_loop_;
  HttpTransport http_;
  const std::string documents_;  ///< name of the database's root
  const std::string address_;    ///< URL of the same
  std::vector<std::string> headers_;
  TokenCache tokens_;
};

}  // namespace sessions

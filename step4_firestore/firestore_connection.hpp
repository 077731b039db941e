// The calls of Firestore's REST API that a FirestoreClient and its transactions share.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firestore_client.hpp"
#include "firestore_document.hpp"
#include "google_credentials.hpp"
#include "http_transport.hpp"
#include "keyed_lock.hpp"

namespace sessions {

/// A status that says something of the moment and nothing of the request: it is worth sending the
/// same request again.
bool is_transient(std::string_view status);

/// Random waits that grow: exponential backoff with full jitter.
class Backoff {
 public:
  explicit Backoff(asio::io_context& backend) : backend_{backend} {}

  /// Returns false, without waiting, if the deadline would pass.
  asio::awaitable<bool> wait(Deadline deadline);

 private:
  asio::io_context& backend_;
  std::chrono::milliseconds longest_{50};
};

/// Lives on the backend: everything happens on its thread. All calls throw FirestoreError; no
/// answer at all is UNAVAILABLE or DEADLINE_EXCEEDED, as in Google's own clients.
class FirestoreConnection {
 public:
  FirestoreConnection(asio::io_context& backend, std::shared_ptr<HttpTransport> http,
                      FirestoreDatabase database);

  struct ReadResult {
    std::string transaction;  ///< empty unless one was begun
    std::optional<FirestoreDocument> document;
  };

  /// `options` says in which transaction to read: {"newTransaction": ...}, {"transaction": ...}, or
  /// an empty object.
  asio::awaitable<ReadResult> read(std::string path, nlohmann::json options, Deadline deadline);
  /// `transaction` may be empty. `read_before` is what the transaction has read. Throws ABORTED
  /// only if nothing was applied, ServiceUnavailable if that is unknown.
  asio::awaitable<void> commit(std::string transaction, std::vector<FirestoreWrite> writes,
                               FirestoreSnapshot read_before, Deadline deadline);
  asio::awaitable<void> roll_back(std::string transaction, Deadline deadline);
  asio::awaitable<std::vector<FirestoreDocument>> run_query(FirestoreQuery query,
                                                            Deadline deadline);

  KeyedLock& transactions() { return transactions_; }
  Backoff backoff() { return Backoff{backend_}; }
  void stop() { http_->stop(); }

 private:
  asio::awaitable<nlohmann::json> call(std::string method, nlohmann::json request,
                                       Deadline deadline);
  asio::awaitable<nlohmann::json> call_persistently(std::string method, nlohmann::json request,
                                                    Deadline deadline);
  asio::awaitable<HttpTransportResponse> post(std::string method, std::string body,
                                              Deadline deadline);
  asio::awaitable<bool> was_applied(std::vector<FirestoreWrite> writes,
                                    FirestoreSnapshot read_before, Deadline deadline);
  FirestoreDocument to_document(const nlohmann::json& found) const;

  asio::io_context& backend_;
  std::shared_ptr<HttpTransport> http_;
  TokenCache tokens_;
  std::string documents_;  ///< name of the database's root
  std::string address_;    ///< URL of the same
  KeyedLock transactions_;
};

}  // namespace sessions

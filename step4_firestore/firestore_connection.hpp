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
  explicit Backoff(asio::io_context& event_loop) : event_loop_{event_loop} {}

  /// Returns false, without waiting, if the deadline would pass.
  asio::awaitable<bool> wait(Deadline deadline);

 private:
  asio::io_context& event_loop_;
  std::chrono::milliseconds longest_{50};
};

/// Lives on the event loop: everything happens on its thread. All calls throw FirestoreError; no
/// answer at all is UNAVAILABLE or DEADLINE_EXCEEDED, as in Google's own clients.
class FirestoreConnection : public std::enable_shared_from_this<FirestoreConnection> {
 public:
  FirestoreConnection(asio::io_context& event_loop, std::shared_ptr<HttpTransport> http,
                      FirestoreDatabase database);

  struct ReadResult {
    std::string transaction;
    std::optional<FirestoreDocument> document;
  };

  /// `transaction` may be empty.
  asio::awaitable<std::optional<FirestoreDocument>> read(std::string path, std::string transaction,
                                                         Deadline deadline);
  /// Begins a transaction with its first read. `retried` is the transaction that this one tries
  /// again, or empty. If the answer comes after the deadline, the transaction is rolled back then:
  /// otherwise its lock would keep everybody from the document until Firestore lets go of it.
  asio::awaitable<ReadResult> begin_and_read(std::string path, std::string retried,
                                             Deadline deadline);
  /// `transaction` may be empty. `read_before` is what the transaction has read. Throws ABORTED
  /// only if nothing was applied, ServiceUnavailable if that is unknown.
  asio::awaitable<void> commit(std::string transaction, std::vector<FirestoreWrite> writes,
                               FirestoreSnapshot read_before, Deadline deadline);
  asio::awaitable<void> roll_back(std::string transaction, Deadline deadline);
  asio::awaitable<std::vector<FirestoreDocument>> run_query(FirestoreQuery query,
                                                            Deadline deadline);

  KeyedLock& transactions() { return transactions_; }
  Backoff backoff() { return Backoff{event_loop_}; }
  void stop() { http_->stop(); }

 private:
  struct Beginning;

  asio::awaitable<void> finish(std::shared_ptr<Beginning> beginning, nlohmann::json request,
                               Deadline deadline);
  nlohmann::json read_request(const std::string& path) const;
  ReadResult to_read_result(const nlohmann::json& answer) const;
  /// One call. An answer is waited for until `patience`.
  asio::awaitable<nlohmann::json> call(std::string method, nlohmann::json request,
                                       Deadline patience);
  /// The same, again and again until the deadline while it fails for reasons of the moment.
  asio::awaitable<nlohmann::json> call_persistently(std::string method, nlohmann::json request,
                                                    Deadline deadline, Deadline patience);
  asio::awaitable<HttpTransportResponse> post(std::string method, std::string body,
                                              Deadline deadline);
  asio::awaitable<bool> was_applied(std::vector<FirestoreWrite> writes,
                                    FirestoreSnapshot read_before, Deadline deadline);
  FirestoreDocument to_document(const nlohmann::json& found) const;

  asio::io_context& event_loop_;
  std::shared_ptr<HttpTransport> http_;
  TokenCache tokens_;
  std::string documents_;  ///< name of the database's root
  std::string address_;    ///< URL of the same
  KeyedLock transactions_;
};

}  // namespace sessions

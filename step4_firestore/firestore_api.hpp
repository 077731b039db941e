// The calls of Firestore's REST API, version 1
// (https://cloud.google.com/firestore/docs/reference/rest), sent until they are answered.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>

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

/// A call, however many times it is sent.
struct FirestoreCall {
  std::string method;  ///< such as "commit"
  std::string body;
  Deadline deadline;
  bool token_was_refused = false;
  bool may_be_applied = false;  ///< it was sent, and no answer told what became of it
};

/// Sends calls to one database. It lives on the event loop: everything happens on its thread.
class FirestoreApi {
 public:
  FirestoreApi(asio::io_context& event_loop, FirestoreDatabase database);

  /// Returns the answer and continues on the event loop. What fails for reasons of the moment is
  /// sent again until the deadline, so the call may be carried out more than once. Throws
  /// FirestoreError if Firestore refuses it, ServiceUnavailable if the deadline passes,
  /// ClientStopped after stop(). The API must live until it ends.
  asio::awaitable<nlohmann::json> send(FirestoreCall& call);

  /// The name of the database's root.
  const std::string& documents() const { return documents_; }

  /// May be called on any thread.
  void stop() { http_.stop(); }

 private:
  asio::awaitable<nlohmann::json> send_once(FirestoreCall& call);

  asio::io_context& event_loop_;
  const FirestoreDatabase database_;
  const std::string documents_;
  HttpTransport http_;
  TokenCache tokens_;
};

}  // namespace sessions

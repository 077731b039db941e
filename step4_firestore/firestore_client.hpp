// Firestore for coroutines: documents and transactions.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/dispatch.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "event_loop.hpp"
#include "firestore_api.hpp"
#include "firestore_document.hpp"
#include "keyed_lock.hpp"
#include "settings.hpp"

namespace sessions {

inline constexpr EnvironmentVariable kFirestoreEmulatorHost{
    "FIRESTORE_EMULATOR_HOST", "", "host:port of the emulator; unset: Google's service"};
inline constexpr EnvironmentVariable kGoogleCloudProject{"GOOGLE_CLOUD_PROJECT", "",
                                                         "project that the database belongs to"};

/// One attempt at an optimistic transaction: nothing is locked. Reads are remembered; writes are
/// kept until the function that got this returns, and are then committed together, on the condition
/// that all documents that were read are still as they were.
class FirestoreTransaction {
 public:
  FirestoreTransaction(const FirestoreTransaction&) = delete;
  FirestoreTransaction& operator=(const FirestoreTransaction&) = delete;

  /// Nothing if there is no such document. Reads come before writes. Throws FirestoreError.
  asio::awaitable<std::optional<FirestoreDocument>> get(std::string path);
  void write(FirestoreWrite write) { writes_.push_back(std::move(write)); }

 private:
  friend class FirestoreClient;

  FirestoreTransaction(std::shared_ptr<FirestoreApi> api, Deadline deadline)
      : api_{std::move(api)}, deadline_{deadline} {}
  asio::awaitable<bool> commit();

  std::shared_ptr<FirestoreApi> api_;
  Deadline deadline_;
  std::map<std::string, std::optional<FirestoreDocument>> read_;
  std::vector<FirestoreWrite> writes_;
};

/// A client with a few connections, used by all threads. Each call ends within five seconds and a
/// moment, and continues on the event loop.
///
/// Calls throw ServiceUnavailable if Firestore cannot be reached, does not answer in time or is
/// overloaded, or if it is unknown whether a write was applied; FirestoreError if Firestore refuses
/// the request.
class FirestoreClient {
 public:
  /// The emulator if FIRESTORE_EMULATOR_HOST is set, else Google's service with Application Default
  /// Credentials. Throws SettingError if there are none, or no project.
  FirestoreClient(EventLoop& event_loop, const Settings& settings);
  FirestoreClient(EventLoop& event_loop, const FirestoreDatabase& database);
  /// Fails the calls that are still under way.
  ~FirestoreClient() { api_->stop(); }
  FirestoreClient(const FirestoreClient&) = delete;
  FirestoreClient& operator=(const FirestoreClient&) = delete;

  /// Runs a function `asio::awaitable<Result>(FirestoreTransaction&)` in a transaction and returns
  /// its result after the commit. If others change meanwhile what it has read, it is called again
  /// after a random pause: whatever is random or visible outside is therefore done before or after.
  /// Transactions with the same `key` run one after the other, so that they do not conflict within
  /// this process; other processes are met in conflicts only. An exception that leaves the function
  /// leaves this too, and nothing is written.
  ///
  /// GCC 12 destroys a lambda that captures by value twice if it is written inside the co_await
  /// expression: capture by reference, which is safe there, or name the lambda first.
  template <typename Function>
  auto run_transaction(std::string key, Function function)
      -> std::invoke_result_t<Function&, FirestoreTransaction&> {
    const auto api = api_;
    const auto sessions = sessions_;
    auto& event_loop = event_loop_;
    const auto deadline = new_deadline();
    co_await asio::dispatch(event_loop, asio::use_awaitable);
    const auto turn = co_await sessions->acquire(std::move(key), deadline);
    if (!turn) {
      throw ServiceUnavailable{"Firestore: too many transactions wait for the same session"};
    }
    // Who is refused often must not fall behind those who are not.
    Backoff backoff{event_loop, std::chrono::milliseconds{100}};
    do {
      FirestoreTransaction transaction{api, deadline};
      auto result = co_await function(transaction);
      if (co_await transaction.commit()) {
        co_return result;
      }
    } while (co_await backoff.wait(deadline));
    throw ServiceUnavailable{"Firestore: others change the same document all the time"};
  }

  /// Reads one document outside a transaction.
  asio::awaitable<std::optional<FirestoreDocument>> get(std::string path);
  /// Applies all writes or none, outside a transaction.
  asio::awaitable<void> commit(std::vector<FirestoreWrite> writes);
  /// Applies each write by itself, at most 500 of them. Those whose precondition fails are skipped.
  /// May apply a write twice, unless it has a precondition.
  asio::awaitable<void> batch_write(std::vector<FirestoreWrite> writes);
  asio::awaitable<std::vector<FirestoreDocument>> run_query(FirestoreQuery query);
  /// Reads a document that need not exist.
  asio::awaitable<void> ping() { co_await get("sessions/check"); }

  /// For people: the project, and whether this is the emulator or Google's service.
  const std::string& description() const { return description_; }

 private:
  static Deadline new_deadline() { return Deadline::clock::now() + std::chrono::seconds{5}; }

  asio::io_context& event_loop_;
  // Both are shared with the calls that are under way: this client may be gone before they end.
  std::shared_ptr<KeyedLock> sessions_;
  std::shared_ptr<FirestoreApi> api_;
  std::string description_;
};

/// For --check: prints PONG and what it spoke to, or what is wrong and what to try, and returns the
/// exit code 0 or 1.
int check_firestore(EventLoop& event_loop, FirestoreClient& firestore);

}  // namespace sessions

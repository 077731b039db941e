// What happened, as far back as memory is set aside for it.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cookie_check.hpp"
#include "cookie_jars.hpp"
#include "http_reader.hpp"

namespace sessions::inspector {

/// Bytes that are no message, so that they can be read: what is not printable in hexadecimal.
std::string printable(std::string_view bytes);

/// A request and its answer.
struct Exchange {
  std::uint64_t id = 0;
  std::uint64_t version = 0;
  std::uint64_t connection = 0;
  std::uint64_t jar = 0;
  Time started = 0;
  Time ended = 0;  ///< 0 while the answer is not complete
  HttpMessage request;
  HttpMessage response;
  bool is_http = true;  ///< else the request's head is bytes that could not be read
  std::vector<std::string> identities;
};

/// A command to the store and its reply.
struct StoreCall {
  std::uint64_t id = 0;
  std::uint64_t version = 0;
  Time started = 0;
  Time ended = 0;                    ///< 0 while there is no reply
  std::string node;                  ///< of a cluster: its address
  std::string kind;                  ///< redis, firestore or bytes
  std::vector<std::string> command;  ///< the arguments; or method, path and body
  std::string reply;
  bool has_failed = false;
  std::optional<std::uint64_t> exchange;  ///< the request for which it was, if that can be told
  bool is_certain = false;                ///< only that request was under way
};

/// Keeps the last requests, their store calls and the jars, and tells a page what is new. Lives on
/// the event loop.
class Recorder {
 public:
  static constexpr std::size_t kMaxExchanges = 500;
  static constexpr std::size_t kMaxStoreCalls = 4000;

  explicit Recorder(CookieKeys keys) : keys_{std::move(keys)} {}

  std::uint64_t new_connection() { return ++last_connection_; }
  void connection_closed(std::uint64_t connection);

  /// A request's head has come in. Returns its number.
  std::uint64_t request_begins(std::uint64_t connection, const HttpMessage& head);
  void request_ends(std::uint64_t exchange, HttpMessage request);
  /// Bytes that are no HTTP. Returns their number if they stand in the place of a request.
  std::uint64_t not_a_request(std::uint64_t connection, std::string_view bytes);
  void response_begins(std::uint64_t exchange, const HttpMessage& head);
  void response_ends(std::uint64_t exchange, HttpMessage response);

  /// A command has gone to the store: it belongs to the only request that is under way, or to the
  /// only one whose user, token or cookie it names; or nobody can tell. Returns its number.
  std::uint64_t call_begins(StoreCall call);
  void call_ends(std::uint64_t call, std::string reply, bool has_failed);

  /// A header line to be added to the next answer to this visitor, if there is one.
  void plant(std::uint64_t jar, std::string set_cookie);
  /// What is to be added to this answer, once.
  std::string take_plant(std::uint64_t exchange);

  const Exchange* exchange(std::uint64_t id) const;
  /// All that has changed since `version`, as JSON; waits a while for it if nothing has.
  asio::awaitable<nlohmann::json> changes_since(std::uint64_t version);

 private:
  Exchange* find(std::uint64_t exchange);
  void changed(std::uint64_t& version);
  void changed(Jar* jar);
  nlohmann::json cookie_json(const std::string& name, const std::string& value) const;
  nlohmann::json to_json(const Exchange& exchange) const;
  nlohmann::json to_json(const Jar& jar) const;

  CookieKeys keys_;
  std::uint64_t version_ = 0;
  std::uint64_t last_connection_ = 0;
  std::uint64_t last_exchange_ = 0;
  std::uint64_t last_call_ = 0;
  std::deque<Exchange> exchanges_;
  std::deque<StoreCall> calls_;
  CookieJars jars_;
  std::set<std::uint64_t> under_way_;  ///< exchanges without an answer
  std::map<std::uint64_t, std::string> plants_;
  std::set<asio::steady_timer*> waiting_;
};

}  // namespace sessions::inspector

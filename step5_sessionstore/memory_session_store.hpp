// Sessions in this process' memory.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "session_store.hpp"

namespace sessions {

/// Needs no server, and forgets everything when the process ends. A second process knows nothing of
/// these sessions, so it is for one process.
///
/// The records are spread over shards, so that threads seldom wait for each other. All sessions of
/// a user lie in one shard, next to each other. No operation waits for anything but a shard's
/// mutex, so all of them complete on the thread that calls.
class MemorySessionStore : public SessionStore {
 public:
  MemorySessionStore(std::vector<SigningKey> keys, SessionLimits limits)
      : keys_{std::move(keys)}, limits_{limits} {}

  asio::awaitable<SessionToken> create(std::string username) override;
  asio::awaitable<void> destroy(SessionToken token) override;
  asio::awaitable<SessionList> list(std::string username) override;
  asio::awaitable<void> destroy_all(std::string username) override;
  asio::awaitable<bool> purge() override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Record {
    SessionFields fields;
    Clock::time_point created;
    Clock::time_point last_seen;
  };
  /// A tag is equivalent to all tokens that begin with it.
  struct ByTag {
    using is_transparent = void;
    bool operator()(const SessionToken& a, const SessionToken& b) const {
      return a.text() < b.text();
    }
    bool operator()(const SessionToken& a, std::string_view tag) const { return a.tag() < tag; }
    bool operator()(std::string_view tag, const SessionToken& b) const { return tag < b.tag(); }
  };
  struct Shard {
    std::mutex mutex;
    std::map<SessionToken, Record, ByTag> records;
  };

  Shard& shard_of(std::string_view tag);
  Clock::time_point expiry(const Record& record) const;
  asio::awaitable<std::optional<SessionFields>> access(
      SessionToken token, std::optional<SessionChange> change) override;

  const std::vector<SigningKey> keys_;
  const SessionLimits limits_;
  std::array<Shard, 64> shards_;
};

}  // namespace sessions

// Sessions in this process' memory.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "session_store.hpp"

namespace sessions {

/// Needs no server, and forgets everything when the process ends. A second process knows nothing of
/// these sessions, so it is for one process.
///
/// The records are spread over shards, so that threads seldom wait for each other. No operation
/// waits for anything but a shard's mutex, so all of them complete on the thread that calls. list()
/// and destroy_all() look at every record: some 10 ms for 100,000 sessions.
class MemorySessionStore : public SessionStore {
 public:
  explicit MemorySessionStore(SessionLifetime lifetime) : lifetime_{lifetime} {}

  asio::awaitable<SessionToken> create(std::string username) override;
  asio::awaitable<Access> read(SessionToken token) override;
  asio::awaitable<Access> set(SessionToken token, std::string field, std::string value) override;
  asio::awaitable<Access> increment(SessionToken token, std::string field,
                                    std::int64_t by) override;
  asio::awaitable<void> destroy(SessionToken token) override;
  asio::awaitable<std::vector<SessionSummary>> list(std::string username) override;
  asio::awaitable<void> destroy_all(std::string username) override;
  asio::awaitable<bool> purge() override;
  asio::awaitable<void> ping() override;

  /// How many records there are, expired ones that have not been purged included.
  std::size_t size();

 private:
  using Clock = std::chrono::steady_clock;
  struct Record {
    SessionFields fields;
    Clock::time_point created;
    Clock::time_point last_seen;
  };
  using Records = std::unordered_map<SessionToken, Record>;
  struct Shard {
    std::mutex mutex;
    Records records;
  };

  Shard& shard_of(const SessionToken& token);
  bool has_expired(const Record& record, Clock::time_point now) const;
  template <typename Change>
  Access access(const SessionToken& token, Change change);
  template <typename Condition>
  void remove_if(Condition condition);

  const SessionLifetime lifetime_;
  std::array<Shard, 64> shards_;
};

}  // namespace sessions

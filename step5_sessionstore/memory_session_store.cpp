#include "memory_session_store.hpp"

#include <utility>

#include "session_record.hpp"

namespace sessions {

asio::awaitable<SessionToken> MemorySessionStore::create(std::string username) {
  const auto token = SessionToken::random();
  const auto now = Clock::now();
  auto& shard = shard_of(token);
  const std::lock_guard lock{shard.mutex};
  shard.records.emplace(token, Record{{{kUsername, std::move(username)}}, now, now});
  co_return token;
}

asio::awaitable<SessionStore::Access> MemorySessionStore::read(SessionToken token) {
  co_return access(token, [](SessionFields& /*fields*/) { return true; });
}

asio::awaitable<SessionStore::Access> MemorySessionStore::set(SessionToken token, std::string field,
                                                              std::string value) {
  require_field_name(field);
  co_return access(token, [&](SessionFields& fields) {
    fields.insert_or_assign(std::move(field), std::move(value));
    return true;
  });
}

asio::awaitable<SessionStore::Access> MemorySessionStore::increment(SessionToken token,
                                                                    std::string field,
                                                                    std::int64_t by) {
  require_field_name(field);
  co_return access(token, [&](SessionFields& fields) {
    const auto found = fields.find(field);
    auto result = sum(found == fields.end() ? "0" : found->second, by);
    if (!result) {
      log_corrupt_record(token, field + " cannot be incremented");
      return false;
    }
    fields.insert_or_assign(std::move(field), std::to_string(*result));
    return true;
  });
}

asio::awaitable<void> MemorySessionStore::destroy(SessionToken token) {
  auto& shard = shard_of(token);
  const std::lock_guard lock{shard.mutex};
  shard.records.erase(token);
  co_return;
}

asio::awaitable<std::vector<SessionSummary>> MemorySessionStore::list(std::string username) {
  using System = std::chrono::system_clock;
  std::vector<SessionSummary> summaries;
  const auto now = Clock::now();
  // The steady clock, which nobody can set back, decides; the system's is for people.
  const auto shown = [now, system_now = System::now()](Clock::time_point time) {
    return system_now - std::chrono::duration_cast<System::duration>(now - time);
  };
  for (auto& shard : shards_) {
    const std::lock_guard lock{shard.mutex};
    for (const auto& [token, record] : shard.records) {
      if (!has_expired(record, now) && record.fields.at(kUsername) == username) {
        summaries.push_back({token, shown(record.created), shown(record.last_seen)});
      }
    }
  }
  co_return summaries;
}

asio::awaitable<void> MemorySessionStore::destroy_all(std::string username) {
  remove_if([&](const Record& record) { return record.fields.at(kUsername) == username; });
  co_return;
}

asio::awaitable<bool> MemorySessionStore::purge() {
  remove_if([this, now = Clock::now()](const Record& record) { return has_expired(record, now); });
  co_return false;
}

asio::awaitable<void> MemorySessionStore::ping() { co_return; }

std::size_t MemorySessionStore::size() {
  std::size_t size = 0;
  for (auto& shard : shards_) {
    const std::lock_guard lock{shard.mutex};
    size += shard.records.size();
  }
  return size;
}

MemorySessionStore::Shard& MemorySessionStore::shard_of(const SessionToken& token) {
  return shards_[std::hash<SessionToken>{}(token) % shards_.size()];
}

bool MemorySessionStore::has_expired(const Record& record, Clock::time_point now) const {
  return now - record.last_seen >= lifetime_.idle || now - record.created >= lifetime_.absolute;
}

/// Renews the session and applies the change, which may refuse by returning false.
template <typename Change>
SessionStore::Access MemorySessionStore::access(const SessionToken& token, Change change) {
  auto& shard = shard_of(token);
  const std::lock_guard lock{shard.mutex};
  const auto now = Clock::now();
  const auto found = shard.records.find(token);
  if (found == shard.records.end() || has_expired(found->second, now) ||
      !change(found->second.fields)) {
    return std::nullopt;
  }
  found->second.last_seen = now;
  return found->second.fields;
}

template <typename Condition>
void MemorySessionStore::remove_if(Condition condition) {
  for (auto& shard : shards_) {
    const std::lock_guard lock{shard.mutex};
    std::erase_if(shard.records, [&](const auto& entry) { return condition(entry.second); });
  }
}

}  // namespace sessions

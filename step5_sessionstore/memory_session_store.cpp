#include "memory_session_store.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>
#include <vector>

#include "session_record.hpp"

namespace sessions {

asio::awaitable<SessionToken> MemorySessionStore::create(std::string username) {
  const auto token = SessionToken::random(tags_.of(username));
  auto& [mutex, records] = shard_of(token.tag());
  const std::lock_guard lock{mutex};
  const auto [first, last] = records.equal_range(token.tag());
  if (std::distance(first, last) >= limits_.per_user) {
    records.erase(std::min_element(first, last, [this](const auto& a, const auto& b) {
      return expiry(a.second) < expiry(b.second);
    }));
  }
  const auto now = Clock::now();
  records.emplace(token, Record{std::move(username), {}, now, now});
  co_return token;
}

asio::awaitable<std::optional<SessionFields>> MemorySessionStore::read(SessionToken token) {
  co_return access(token, [](SessionFields& /*fields*/) { return true; });
}

asio::awaitable<std::optional<SessionFields>> MemorySessionStore::set(SessionToken token,
                                                                      std::string field,
                                                                      std::string value) {
  require_changeable(field);
  co_return access(token, [&](SessionFields& fields) {
    fields.insert_or_assign(std::move(field), std::move(value));
    return true;
  });
}

asio::awaitable<std::optional<SessionFields>> MemorySessionStore::increment(SessionToken token,
                                                                            std::string field,
                                                                            std::int64_t by) {
  require_changeable(field);
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
  auto& [mutex, records] = shard_of(token.tag());
  const std::lock_guard lock{mutex};
  records.erase(token);
  co_return;
}

asio::awaitable<SessionList> MemorySessionStore::list(std::string username) {
  using System = std::chrono::system_clock;
  std::vector<SessionSummary> live;
  const auto now = Clock::now();
  // The steady clock, which nobody can set back, decides; the system's is for people.
  const auto shown = [now, system_now = System::now()](Clock::time_point time) {
    return system_now - std::chrono::duration_cast<System::duration>(now - time);
  };
  const auto tag = tags_.of(username);
  auto& [mutex, records] = shard_of(tag);
  const std::lock_guard lock{mutex};
  const auto [first, last] = records.equal_range(tag);
  for (auto session = first; session != last; ++session) {
    const auto& [token, record] = *session;
    if (now < expiry(record)) {
      live.push_back({token, shown(record.created), shown(record.last_seen)});
    }
  }
  co_return listed(std::move(live));
}

asio::awaitable<void> MemorySessionStore::destroy_all(std::string username) {
  const auto tag = tags_.of(username);
  auto& [mutex, records] = shard_of(tag);
  const std::lock_guard lock{mutex};
  const auto [first, last] = records.equal_range(tag);
  records.erase(first, last);
  co_return;
}

asio::awaitable<bool> MemorySessionStore::purge() {
  const auto now = Clock::now();
  for (auto& [mutex, records] : shards_) {
    const std::lock_guard lock{mutex};
    std::erase_if(records, [&](const auto& entry) { return expiry(entry.second) <= now; });
  }
  co_return false;
}

std::size_t MemorySessionStore::size() {
  std::size_t size = 0;
  for (auto& [mutex, records] : shards_) {
    const std::lock_guard lock{mutex};
    size += records.size();
  }
  return size;
}

MemorySessionStore::Shard& MemorySessionStore::shard_of(std::string_view tag) {
  return shards_[std::hash<std::string_view>{}(tag) % shards_.size()];
}

MemorySessionStore::Clock::time_point MemorySessionStore::expiry(const Record& record) const {
  return std::min(record.last_seen + limits_.idle, record.created + limits_.absolute);
}

/// Renews the session and applies the change, which may refuse by returning false.
template <typename Change>
std::optional<SessionFields> MemorySessionStore::access(const SessionToken& token, Change change) {
  auto& [mutex, records] = shard_of(token.tag());
  const std::lock_guard lock{mutex};
  const auto now = Clock::now();
  const auto found = records.find(token);
  if (found == records.end() || expiry(found->second) <= now || !change(found->second.others)) {
    return std::nullopt;
  }
  found->second.last_seen = now;
  auto fields = found->second.others;
  fields.emplace(kUsername, found->second.username);
  return fields;
}

}  // namespace sessions

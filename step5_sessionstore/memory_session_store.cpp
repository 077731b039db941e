#include "memory_session_store.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <ranges>

namespace sessions {

asio::awaitable<SessionToken> MemorySessionStore::create(std::string username) {
  const auto token = SessionToken::random(user_tag(keys_.front(), username));
  auto& [mutex, records] = shard_of(token.tag());
  const std::lock_guard lock{mutex};
  const auto [first, last] = records.equal_range(token.tag());
  if (std::distance(first, last) >= limits_.per_user) {
    records.erase(std::min_element(first, last, [this](const auto& a, const auto& b) {
      return expiry(a.second) < expiry(b.second);
    }));
  }
  const auto now = Clock::now();
  records.emplace(token, Record{{{kUsername, std::move(username)}}, now, now});
  co_return token;
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
  const auto tag = user_tag(keys_.front(), username);
  auto& [mutex, records] = shard_of(tag);
  const std::lock_guard lock{mutex};
  const auto [first, last] = records.equal_range(tag);
  for (const auto& [token, record] : std::ranges::subrange(first, last)) {
    if (now < expiry(record)) {
      live.push_back({token, shown(record.created), shown(record.last_seen)});
    }
  }
  co_return listed(std::move(live));
}

asio::awaitable<void> MemorySessionStore::destroy_all(std::string username) {
  const auto tag = user_tag(keys_.front(), username);
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

MemorySessionStore::Shard& MemorySessionStore::shard_of(std::string_view tag) {
  return shards_[std::hash<std::string_view>{}(tag) % shards_.size()];
}

MemorySessionStore::Clock::time_point MemorySessionStore::expiry(const Record& record) const {
  return std::min(record.last_seen + limits_.idle, record.created + limits_.absolute);
}

asio::awaitable<std::optional<SessionFields>> MemorySessionStore::access(
    SessionToken token, std::optional<SessionChange> change) {
  auto& [mutex, records] = shard_of(token.tag());
  const std::lock_guard lock{mutex};
  const auto now = Clock::now();
  const auto found = records.find(token);
  if (found == records.end() || expiry(found->second) <= now ||
      !apply(change, found->second.fields, token)) {
    co_return std::nullopt;
  }
  found->second.last_seen = now;
  co_return found->second.fields;
}

}  // namespace sessions

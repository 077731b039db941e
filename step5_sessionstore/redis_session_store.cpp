#include "redis_session_store.hpp"

#include <charconv>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "session_record.hpp"

namespace sessions {
namespace {

//! [redis access]
// Every access is this script, with or without a command that changes a field. The index is for
// people, who read seconds, so it is enough to renew it once a second; the expiry is exact.
constexpr std::string_view kAccess = R"(
  local token, idle, absolute, command, field, value = unpack(ARGV)
  local record = redis.pcall('HMGET', KEYS[1], 'createdAt', 'seenAt', 'username')
  if record.err then return redis.error_reply('CORRUPT ' .. record.err) end
  local created, seen, username = tonumber(record[1]), tonumber(record[2]), record[3]
  if not (created and seen and username) then
    if redis.call('EXISTS', KEYS[1]) == 0 then return false end
    return redis.error_reply('CORRUPT createdAt, seenAt or username is missing')
  end

  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local remaining = created + absolute - now
  if remaining <= 0 then return false end

  if command then
    local changed = redis.pcall(command, KEYS[1], field, value)
    if type(changed) == 'table' then return redis.error_reply('CORRUPT ' .. changed.err) end
  end
  redis.call('PEXPIRE', KEYS[1], math.min(idle, remaining))

  if field == 'username' then
    redis.call('ZREM', 'sessions-of:' .. username, token)
    username = redis.call('HGET', KEYS[1], 'username')
  end
  if now - seen >= 1000 or field == 'username' then
    local index = 'sessions-of:' .. username
    redis.call('HSET', KEYS[1], 'seenAt', now)
    redis.call('ZREMRANGEBYSCORE', index, '-inf', now - idle - 1000)
    redis.call('ZADD', index, now, token)
    redis.call('PEXPIRE', index, idle + 1000)
  end
  return redis.call('HGETALL', KEYS[1])
)";
//! [redis access]

constexpr std::string_view kCreate = R"(
  local token, idle, absolute, username = unpack(ARGV)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - idle - 1000)
  redis.call('ZADD', KEYS[2], now, token)
  redis.call('PEXPIRE', KEYS[2], idle + 1000)
  redis.call('HSET', KEYS[1], 'createdAt', now, 'seenAt', now, 'username', username)
  redis.call('PEXPIRE', KEYS[1], math.min(idle, absolute))
)";

constexpr std::string_view kDestroy = R"(
  local username = redis.pcall('HGET', KEYS[1], 'username')
  if type(username) == 'string' then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', 'sessions-of:' .. username, ARGV[1])
  end
)";

// Redis may keep a key for a millisecond after its time, so this asks the clock, as an access does.
constexpr std::string_view kList = R"(
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local live = {}
  local tokens = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  for i = 1, #tokens, 2 do
    local created = redis.pcall('HGET', 'session:' .. tokens[i], 'createdAt')
    if type(created) == 'string' and now < (tonumber(created) or 0) + ARGV[1] then
      table.insert(live, {tokens[i], created, tokens[i + 1]})
    else
      redis.call('ZREM', KEYS[1], tokens[i])
    end
  end
  return live
)";

constexpr std::string_view kDestroyAll = R"(
  for _, token in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if redis.call('TYPE', 'session:' .. token).ok == 'hash' then
      redis.call('DEL', 'session:' .. token)
    end
  end
  redis.call('DEL', KEYS[1])
)";

std::string session_key(const SessionToken& token) {
  return "session:" + std::string{token.text()};
}

std::string index_key(const std::string& username) { return "sessions-of:" + username; }

SessionStore::Access fields_of(const RedisReply& reply) {
  if (reply.is_nil()) {
    return std::nullopt;
  }
  SessionFields fields;
  const auto& list = reply.list();
  for (std::size_t i = 0; i + 1 < list.size(); i += 2) {
    if (is_field_name(list[i].string())) {
      fields.emplace(list[i].string(), list[i + 1].string());
    }
  }
  return fields;
}

std::optional<std::chrono::system_clock::time_point> time_of(const std::string& milliseconds) {
  std::int64_t number = 0;
  const auto* end = milliseconds.data() + milliseconds.size();
  const auto parsed = std::from_chars(milliseconds.data(), end, number);
  if (parsed.ec != std::errc{} || parsed.ptr != end) {
    return std::nullopt;
  }
  return std::chrono::system_clock::time_point{std::chrono::milliseconds{number}};
}

}  // namespace

RedisSessionStore::RedisSessionStore(EventLoop& event_loop, RedisUrl url, SessionLifetime lifetime)
    : redis_{event_loop, std::move(url)},
      lifetime_{lifetime},
      create_{kCreate},
      access_{kAccess},
      destroy_{kDestroy},
      list_{kList},
      destroy_all_{kDestroyAll} {}

asio::awaitable<SessionToken> RedisSessionStore::create(std::string username) {
  const auto token = SessionToken::random();
  co_await create_.run(redis_, 2, session_key(token), index_key(username), token.text(),
                       lifetime_.idle.count(), lifetime_.absolute.count(), username);
  co_return token;
}

asio::awaitable<SessionStore::Access> RedisSessionStore::read(SessionToken token) {
  return access(token);
}

asio::awaitable<SessionStore::Access> RedisSessionStore::set(SessionToken token, std::string field,
                                                             std::string value) {
  require_field_name(field);
  return access(token, "HSET", std::move(field), std::move(value));
}

asio::awaitable<SessionStore::Access> RedisSessionStore::increment(SessionToken token,
                                                                   std::string field,
                                                                   std::int64_t by) {
  require_field_name(field);
  return access(token, "HINCRBY", std::move(field), by);
}

asio::awaitable<void> RedisSessionStore::destroy(SessionToken token) {
  co_await destroy_.run(redis_, 1, session_key(token), token.text());
}

asio::awaitable<std::vector<SessionSummary>> RedisSessionStore::list(std::string username) {
  const auto reply = co_await list_.run(redis_, 1, index_key(username), lifetime_.absolute.count());
  std::vector<SessionSummary> summaries;
  for (const auto& entry : reply.list()) {
    const auto& session = entry.list();
    const auto token = SessionToken::parse(session.at(0).string());
    const auto created = time_of(session.at(1).string());
    const auto last_seen = time_of(session.at(2).string());
    if (token && created && last_seen) {
      summaries.push_back({*token, *created, *last_seen});
    }
  }
  co_return summaries;
}

asio::awaitable<void> RedisSessionStore::destroy_all(std::string username) {
  co_await destroy_all_.run(redis_, 1, index_key(username));
}

asio::awaitable<bool> RedisSessionStore::purge() { co_return false; }

asio::awaitable<void> RedisSessionStore::ping() { return redis_.ping(); }

template <typename... Change>
asio::awaitable<SessionStore::Access> RedisSessionStore::access(SessionToken token,
                                                                Change... change) {
  try {
    co_return fields_of(co_await access_.run(redis_, 1, session_key(token), token.text(),
                                             lifetime_.idle.count(), lifetime_.absolute.count(),
                                             change...));
  } catch (const RedisError& error) {
    if (!std::string_view{error.what()}.starts_with("CORRUPT")) {
      throw;
    }
    log_corrupt_record(token, error.what());
    co_return std::nullopt;
  }
}

}  // namespace sessions

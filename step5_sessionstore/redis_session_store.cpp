#include "redis_session_store.hpp"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace sessions {
namespace {

//! [redis access]
// Every access is this script; an empty command stands for no change. Its first line makes Redis
// refuse it as a whole, before it begins, where it may not write. So that most accesses write
// nothing but the field, an expiry is set a twentieth later than asked for, at most a second, and
// again when an access would end up short of that.
constexpr std::string_view kAccess = R"(#!lua
  local secret, idle, absolute, command, field, value = unpack(ARGV)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local expiry = tonumber(redis.call('ZSCORE', KEYS[2], secret))
  if not expiry or expiry <= now then return false end

  local record = redis.call('HMGET', KEYS[1], 'createdAt', 'username')
  local created = tonumber(record[1])
  if not (created and record[2]) then
    if redis.call('EXISTS', KEYS[1]) == 0 then return false end
    return redis.error_reply('CORRUPT createdAt or username is missing')
  end
  if created + absolute <= now then return false end

  if command ~= '' then redis.call(command, KEYS[1], field, value) end
  local wanted = math.min(now + idle, created + absolute)
  if expiry < wanted or expiry > wanted + 1000 then
    expiry = math.min(now + idle + math.min(1000, math.floor(idle / 20)), created + absolute)
    redis.call('HSET', KEYS[1], 'seenAt', now)
    redis.call('PEXPIREAT', KEYS[1], expiry)
    redis.call('ZADD', KEYS[2], expiry, secret)
    redis.call('PEXPIREAT', KEYS[2], expiry, 'GT')
  end
  return redis.call('HGETALL', KEYS[1])
)";
//! [redis access]

// The index's life is only ever extended, for another server may have given it a longer one.
constexpr std::string_view kCreate = R"(#!lua
  local secret, idle, absolute, per_user, username = unpack(ARGV)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local expiry = now + math.min(idle, absolute)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -per_user)
  redis.call('ZADD', KEYS[2], expiry, secret)
  redis.call('PEXPIREAT', KEYS[2], expiry, 'NX')
  redis.call('PEXPIREAT', KEYS[2], expiry, 'GT')
  redis.call('HSET', KEYS[1], 'createdAt', now, 'seenAt', now, 'username', username)
  redis.call('PEXPIREAT', KEYS[1], expiry)
)";

constexpr std::string_view kDestroy = R"(#!lua flags=allow-oom
  redis.call('ZREM', KEYS[2], ARGV[1])
  if redis.call('TYPE', KEYS[1]).ok == 'hash' then redis.call('UNLINK', KEYS[1]) end
)";

constexpr std::string_view kNewest = R"(#!lua flags=no-writes
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  return {redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf'),
          redis.call('ZRANGE', KEYS[1], '+inf', '(' .. now, 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[1])}
)";

constexpr std::string_view kTimes = R"(#!lua flags=no-writes
  local times = {}
  for i, key in ipairs(KEYS) do
    local record = redis.pcall('HMGET', key, 'createdAt', 'seenAt')
    local created, seen = tonumber(record[1]), tonumber(record[2])
    times[i] = created and seen and {created, seen} or {}
  end
  return times
)";

std::string session_key(const SessionToken& token) {
  return fmt::format("session:{{{}}}:{}", token.tag(), token.secret());
}

std::string index_key(std::string_view tag) { return fmt::format("sessions-of:{{{}}}", tag); }

std::string sha1(std::string_view text) {
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

/// True if Redis has refused because of what is in the record.
bool is_about_record(std::string_view error) {
  constexpr std::array<std::string_view, 4> kErrors{"CORRUPT", "WRONGTYPE",
                                                    "ERR hash value is not an integer",
                                                    "ERR increment or decrement would overflow"};
  return std::ranges::any_of(kErrors, [&](auto start) { return error.starts_with(start); });
}

std::optional<SessionFields> fields_of(const RedisReply& reply) {
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

std::chrono::system_clock::time_point time_of(const RedisReply& reply) {
  return std::chrono::system_clock::time_point{std::chrono::milliseconds{reply.integer()}};
}

}  // namespace

asio::awaitable<SessionToken> RedisSessionStore::create(std::string username) {
  const auto token = SessionToken::random(user_tag(keys_.front(), username));
  co_await redis_.command("EVAL", kCreate, 2, session_key(token), index_key(token.tag()),
                          token.secret(), limits_.idle.count(), limits_.absolute.count(),
                          limits_.per_user, username);
  co_return token;
}

asio::awaitable<void> RedisSessionStore::destroy(SessionToken token) {
  co_await redis_.command("EVAL", kDestroy, 2, session_key(token), index_key(token.tag()),
                          token.secret());
}

// Two round trips, because a script has to declare its keys, and the index has to name them first.
asio::awaitable<SessionList> RedisSessionStore::list(std::string username) {
  SessionList list;
  for (const auto& key : keys_) {
    const auto tag = user_tag(key, username);
    const auto index =
        co_await redis_.command("EVAL", kNewest, 1, index_key(tag), SessionList::kMaxNewest);
    list.count += static_cast<std::size_t>(index.list().at(0).integer());
    std::vector<SessionToken> tokens;
    for (const auto& secret : index.list().at(1).list()) {
      if (const auto token = SessionToken::parse(fmt::format("{}.{}", tag, secret.string()))) {
        tokens.push_back(*token);
      }
    }
    if (tokens.empty()) {
      continue;
    }
    std::vector<std::string> command{"EVAL", std::string{kTimes}, std::to_string(tokens.size())};
    std::ranges::transform(tokens, std::back_inserter(command), session_key);
    const auto times = co_await redis_.command(std::move(command));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto& record = times.list().at(i).list();
      if (record.empty()) {
        --list.count;  // it has ended since the index was read
      } else {
        list.newest.push_back({tokens[i], time_of(record.at(0)), time_of(record.at(1))});
      }
    }
  }
  list.newest = listed(std::move(list.newest)).newest;
  co_return list;
}

asio::awaitable<void> RedisSessionStore::destroy_all(std::string username) {
  for (const auto& key : keys_) {
    co_await redis_.command("UNLINK", index_key(user_tag(key, username)));
  }
}

asio::awaitable<void> RedisSessionStore::ping() { return redis_.ping(); }

asio::awaitable<std::optional<SessionFields>> RedisSessionStore::access(
    SessionToken token, std::optional<SessionChange> change) {
  try {
    co_return fields_of(co_await run_access(token, std::move(change)));
  } catch (const RedisError& error) {
    if (!is_about_record(error.what())) {
      throw;
    }
    log_corrupt_record(token, error.what());
    co_return std::nullopt;
  }
}

// Nearly every request runs this script. It is sent once; afterwards its SHA-1 names it
// (https://redis.io/commands/evalsha), which is shorter and spares Redis the reading.
asio::awaitable<RedisReply> RedisSessionStore::run_access(SessionToken token,
                                                          std::optional<SessionChange> change) {
  static const std::string kName = sha1(kAccess);
  std::string command;
  std::string field;
  std::string value;
  if (change) {
    const auto* number = std::get_if<std::int64_t>(&change->value);
    command = number ? "HINCRBY" : "HSET";
    field = change->field;
    value = number ? std::to_string(*number) : std::get<std::string>(change->value);
  }
  const auto run = [&](std::string_view eval, std::string_view script) {
    return redis_.command(eval, script, 2, session_key(token), index_key(token.tag()),
                          token.secret(), limits_.idle.count(), limits_.absolute.count(), command,
                          field, value);
  };
  try {
    co_return co_await run("EVALSHA", kName);
  } catch (const RedisError& error) {
    if (error.code() != "NOSCRIPT") {
      throw;
    }
  }
  // Redis has not seen the script yet, or has been restarted: nothing was executed.
  co_return co_await run("EVAL", kAccess);
}

}  // namespace sessions

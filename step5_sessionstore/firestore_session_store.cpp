#include "firestore_session_store.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sessions {
namespace {

constexpr const char* kCollection = "sessions";
constexpr const char* kCreatedAt = "createdAt";
constexpr const char* kSeenAt = "seenAt";
constexpr const char* kExpireAt = "expireAt";

constexpr std::int32_t kMaxListed = 10'000;
constexpr std::int32_t kBatch = 500;  // the most that one commit may write

std::string path_of(const SessionToken& token) {
  return fmt::format("{}/{}", kCollection, token.text());
}

FirestoreQuery sessions_of(const std::string& username, std::int32_t limit) {
  return {.collection = kCollection, .field = kUsername, .value = username, .limit = limit};
}

/// A document as a session.
struct Record {
  SessionFields fields;
  FirestoreTime created;
  FirestoreTime seen;
  FirestoreTime expires;
};

/// Nothing if the document makes no sense as a session.
std::optional<Record> record_of(const FirestoreDocument& document) {
  const auto created = document.fields.timestamp(kCreatedAt);
  const auto seen = document.fields.timestamp(kSeenAt);
  const auto expires = document.fields.timestamp(kExpireAt);
  if (!created || !seen || !expires || !document.fields.string(kUsername)) {
    return std::nullopt;
  }
  Record record{{}, *created, *seen, *expires};
  for (const auto& [name, value] : document.fields.values()) {
    if (!is_field_name(name)) {
      continue;
    }
    if (const auto* text = std::get_if<std::string>(&value)) {
      record.fields.emplace(name, *text);
    } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
      record.fields.emplace(name, std::to_string(*number));
    } else {
      return std::nullopt;
    }
  }
  return record;
}

/// A document outlives its session: a TTL policy can be a day late, and the absolute lifetime may
/// be shorter than it was when the document was written.
bool is_over(const Record& record, std::chrono::milliseconds absolute, FirestoreTime at) {
  return at >= record.expires || at >= record.created + absolute;
}

}  // namespace

asio::awaitable<SessionToken> FirestoreSessionStore::create(std::string username) {
  const auto token = SessionToken::random(user_tag(keys_.front(), username));
  const auto created = firestore_time();
  FirestoreFields fields;
  fields.set(kUsername, username)
      .set(kCreatedAt, created)
      .set(kSeenAt, created)
      .set(kExpireAt, created + std::min(limits_.idle, limits_.absolute));
  std::vector<FirestoreWrite> writes{FirestoreWrite::create(path_of(token), fields)};
  auto surplus = sessions_of(username, 1);
  surplus.offset = static_cast<std::int32_t>(limits_.per_user) - 1;
  if (!(co_await firestore_.run_query(std::move(surplus))).empty()) {
    auto documents = co_await firestore_.run_query(sessions_of(username, kMaxListed));
    std::ranges::sort(documents, {}, [](const FirestoreDocument& document) {
      return document.fields.timestamp(kExpireAt);
    });
    const auto last = documents.size() + 1 - static_cast<std::size_t>(limits_.per_user);
    for (std::size_t i = 0; i < std::min<std::size_t>(last, kBatch - 1); ++i) {
      writes.push_back(FirestoreWrite::remove(documents.at(i).path));
    }
  }
  co_await firestore_.commit(std::move(writes));
  co_return token;
}

asio::awaitable<void> FirestoreSessionStore::destroy(SessionToken token) {
  std::vector<FirestoreWrite> writes{FirestoreWrite::remove(path_of(token))};
  co_await firestore_.commit(std::move(writes));
}

asio::awaitable<SessionList> FirestoreSessionStore::list(std::string username) {
  const auto documents = co_await firestore_.run_query(sessions_of(username, kMaxListed));
  std::vector<SessionSummary> live;
  for (const auto& document : documents) {
    const auto token = SessionToken::parse(document.path.substr(document.path.find('/') + 1));
    const auto record = record_of(document);
    if (token && record && !is_over(*record, limits_.absolute, firestore_time())) {
      live.push_back({*token, record->created, record->seen});
    }
  }
  co_return listed(std::move(live));
}

asio::awaitable<void> FirestoreSessionStore::destroy_all(std::string username) {
  std::vector<FirestoreDocument> documents;
  do {
    documents = co_await firestore_.run_query(sessions_of(username, kBatch));
    std::vector<FirestoreWrite> writes;
    for (const auto& document : documents) {
      writes.push_back(FirestoreWrite::remove(document.path));
    }
    if (!writes.empty()) {
      co_await firestore_.commit(std::move(writes));
    }
  } while (documents.size() == kBatch);
}

asio::awaitable<bool> FirestoreSessionStore::purge() {
  FirestoreQuery query{.collection = kCollection,
                       .field = kExpireAt,
                       .comparison = "LESS_THAN_OR_EQUAL",
                       .value = firestore_time(),
                       .limit = kBatch};
  const auto documents = co_await firestore_.run_query(std::move(query));
  std::vector<FirestoreWrite> writes;
  for (const auto& document : documents) {
    // Another server, whose clock is behind, may have renewed the session after the query.
    writes.push_back(FirestoreWrite::remove(document.path).if_unchanged(document));
  }
  if (!writes.empty()) {
    co_await firestore_.batch_write(std::move(writes));
  }
  co_return documents.size() == kBatch;
}

asio::awaitable<void> FirestoreSessionStore::ping() { return firestore_.ping(); }

asio::awaitable<std::optional<SessionFields>> FirestoreSessionStore::access(
    SessionToken token, std::optional<SessionChange> change) {
  const auto path = path_of(token);
  co_return co_await firestore_.run_transaction(
      path,
      [&](FirestoreTransaction& transaction) -> asio::awaitable<std::optional<SessionFields>> {
        const auto document = co_await transaction.get(path);
        if (!document) {
          co_return std::nullopt;
        }
        auto record = record_of(*document);
        if (!record) {
          log_corrupt_record(token, "a field is missing or has the wrong type");
          co_return std::nullopt;
        }
        const auto seen = firestore_time();
        if (is_over(*record, limits_.absolute, seen) || !apply(change, record->fields, token)) {
          co_return std::nullopt;
        }
        FirestoreFields written;
        if (change) {
          const auto& text = record->fields.at(change->field);
          const bool is_number = std::holds_alternative<std::int64_t>(change->value);
          written.set(change->field, is_number ? FirestoreValue{std::stoll(text)} : text);
        }
        written.set(kSeenAt, seen)
            .set(kExpireAt,
                 std::min<FirestoreTime>(seen + limits_.idle, record->created + limits_.absolute));
        transaction.write(FirestoreWrite::update(path, std::move(written)));
        co_return std::move(record->fields);
      });
}

}  // namespace sessions

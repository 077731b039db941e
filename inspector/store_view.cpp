#include "store_view.hpp"

#include <fmt/format.h>

#include <map>
#include <string>

#include "errors.hpp"
#include "http_request.hpp"
#include "redis_client.hpp"
#include "redis_nodes.hpp"

namespace sessions::inspector {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxAnswer = 4UL * 1024 * 1024;

class NothingView : public StoreView {
 public:
  asio::awaitable<json> records() override { co_return json::array(); }
};

// One script, so that what it shows of a server was there at one moment.
constexpr std::string_view kReadAll = R"(
  local max_records, max_fields = tonumber(ARGV[1]), tonumber(ARGV[2])
  local read = {
    string = function(key) return {'', redis.call('GETRANGE', key, 0, 4095)} end,
    hash = function(key) return redis.call('HSCAN', key, 0, 'COUNT', max_fields)[2] end,
    zset = function(key) return redis.call('ZRANGE', key, 0, max_fields - 1, 'WITHSCORES') end
  }
  local records, cursor = {}, '0'
  repeat
    local page = redis.call('SCAN', cursor, 'COUNT', 1000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do
      if #records == max_records then return records end
      local type = redis.call('TYPE', key).ok
      local fields = read[type] and read[type](key) or {'', 'not shown'}
      table.insert(records, {key, type, redis.call('PTTL', key), fields})
    end
  until cursor == '0'
  return records
)";

class RedisView : public StoreView {
 public:
  RedisView(EventLoop& event_loop, RedisUrl url) : redis_{event_loop, std::move(url)} {}

  asio::awaitable<json> records() override {
    constexpr int kMaxFields = 100;
    auto records = json::array();
    const auto primaries = co_await keys_of_primaries();
    for (const auto& [primary, key] : primaries) {
      const auto reply = co_await redis_.command("EVAL", kReadAll, 1, key,
                                                 kMaxRecords - records.size(), kMaxFields);
      for (const auto& entry : reply.list()) {
        records.push_back(record_of(entry.list(), primary));
      }
    }
    co_return records;
  }

 private:
  /// Of each primary of a cluster its address and a key that leads there. Without a cluster just
  /// any key.
  asio::awaitable<std::map<std::string, std::string>> keys_of_primaries() {
    std::map<std::string, std::string> keys;
    try {
      const auto ranges = co_await redis_.command("CLUSTER", "SLOTS");
      for (const auto& range : ranges.list()) {
        const auto& primary = range.list().at(2).list();
        auto& key = keys[fmt::format("{}:{}", primary.at(0).string(), primary.at(1).integer())];
        const auto is_there = [&](const std::string& name) {
          const auto slot = static_cast<std::int64_t>(slot_of(name));
          return slot >= range.list().at(0).integer() && slot <= range.list().at(1).integer();
        };
        for (int number = 0; key.empty() || !is_there(key); ++number) {
          key = std::to_string(number);
        }
      }
    } catch (const RedisError&) {
      keys = {{"", "any"}};
    }
    co_return keys;
  }

  static json record_of(const RedisReply::List& record, const std::string& primary) {
    const auto ttl = record.at(2).integer();
    auto fields = json::array();
    const auto& texts = record.at(3).list();
    for (std::size_t i = 0; i + 1 < texts.size(); i += 2) {
      fields.push_back({texts[i].string(), texts[i + 1].string()});
    }
    return {{"key", record.at(0).string()},
            {"type", record.at(1).string() + (primary.empty() ? "" : " at " + primary)},
            {"ttl", ttl < 0 ? json(nullptr) : json(ttl)},
            {"fields", std::move(fields)}};
  }

  RedisClient redis_;
};

class FirestoreView : public StoreView {
 public:
  FirestoreView(TcpAddress emulator, const std::string& project)
      : emulator_{std::move(emulator)},
        root_{fmt::format("/v1/projects/{}/databases/(default)/documents", project)} {}

  asio::awaitable<json> records() override {
    auto records = json::array();
    const auto collections = co_await ask("POST", root_ + ":listCollectionIds", "{}");
    for (const auto& collection : collections.value("collectionIds", json::array())) {
      const auto path =
          fmt::format("{}/{}?pageSize={}", root_, collection.get<std::string>(), kMaxRecords);
      const auto answer = co_await ask("GET", path, "");
      for (const auto& document : answer.value("documents", json::array())) {
        records.push_back(record_of(document));
      }
    }
    co_return records;
  }

 private:
  asio::awaitable<json> ask(std::string method, std::string path, std::string body) {
    const auto request = fmt::format(
        "{} {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer owner\r\n"
        "Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        method, path, emulator_.text(), body.size(), body);
    const auto answer = co_await send_request(emulator_, request, kMaxAnswer);
    auto result = json::parse(answer.body, nullptr, false);
    if (answer.status() != 200 || !result.is_object()) {
      throw ServiceUnavailable{fmt::format("the emulator answers {}", answer.status())};
    }
    co_return result;
  }

  static json record_of(const json& document) {
    const auto name = document.at("name").get<std::string>();
    constexpr std::string_view kDocuments = "/documents/";
    const auto present = document.value("fields", json::object());
    auto fields = json::array();
    for (const auto& [field, value] : present.items()) {
      const auto& content = value.front();
      fields.push_back({field, content.is_string() ? content.get<std::string>() : content.dump()});
    }
    return {{"key", name.substr(name.find(kDocuments) + kDocuments.size())},
            {"type", "document"},
            {"ttl", nullptr},
            {"fields", std::move(fields)}};
  }

  TcpAddress emulator_;
  std::string root_;
};

}  // namespace

std::unique_ptr<StoreView> view_of_nothing() { return std::make_unique<NothingView>(); }

std::unique_ptr<StoreView> view_of_redis(EventLoop& event_loop, RedisUrl url) {
  return std::make_unique<RedisView>(event_loop, std::move(url));
}

std::unique_ptr<StoreView> view_of_firestore(TcpAddress emulator, std::string project) {
  return std::make_unique<FirestoreView>(std::move(emulator), project);
}

}  // namespace sessions::inspector

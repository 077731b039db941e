// What is in the store now.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "event_loop.hpp"
#include "redis_url.hpp"
#include "relay.hpp"

namespace sessions::inspector {

/// Asks a store, past the tap, for its records. To be destroyed before the event loop.
class StoreView {
 public:
  static constexpr int kMaxRecords = 200;

  virtual ~StoreView() = default;
  /// A list of {key, type, ttl, fields}: `ttl` in milliseconds or null, `fields` pairs of texts.
  /// Of more than kMaxRecords some. Throws ServiceUnavailable if the store cannot be asked.
  virtual asio::awaitable<nlohmann::json> records() = 0;
};

/// For a server that stores nothing where one could look.
std::unique_ptr<StoreView> view_of_nothing();
std::unique_ptr<StoreView> view_of_redis(EventLoop& event_loop, RedisUrl url);
/// All collections at the root of the project's database.
std::unique_ptr<StoreView> view_of_firestore(TcpAddress emulator, std::string project);

}  // namespace sessions::inspector

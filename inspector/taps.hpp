// What reads the three kinds of connections: of visitors, to Redis, to Firestore's emulator.
#pragma once

#include <asio/io_context.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "recorder.hpp"
#include "redis_url.hpp"
#include "relay.hpp"

namespace sessions::inspector {

/// Between a visitor and the server. `server` is where the server should be.
std::unique_ptr<Tap> tap_visitor(Recorder& recorder, const std::string& server);

/// Records calls to a store, whose replies come in the order of the calls.
class StoreTap : public Tap {
 public:
  explicit StoreTap(Recorder& recorder) : recorder_{recorder} {}
  void server_closed() override;

 protected:
  void begin(std::string kind, std::vector<std::string> command, std::string node = {});
  void end(std::string reply, bool has_failed);

 private:
  Recorder& recorder_;
  std::deque<std::uint64_t> waiting_;  ///< for their replies
};

/// Puts taps between the server and Redis, and returns the port of the first one, which is `port`
/// unless that is 0. Where Redis is a cluster, each node gets a tap, and what tells the server of a
/// node tells it of that node's tap instead; nodes elsewhere only if `anywhere` is allowed.
/// Passwords in AUTH and HELLO are not recorded. Throws SettingError, which names `setting`, as
/// start_relay() does.
std::uint16_t tap_redis(asio::io_context& event_loop, std::string_view setting, std::uint16_t port,
                        const RedisUrl& url, bool anywhere, Recorder& recorder);

/// Between the server and Firestore's emulator.
std::unique_ptr<Tap> tap_firestore(Recorder& recorder);

}  // namespace sessions::inspector

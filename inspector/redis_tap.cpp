#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include <algorithm>
#include <deque>
#include <map>
#include <stdexcept>
#include <utility>

#include "errors.hpp"
#include "http_message.hpp"
#include "taps.hpp"

namespace sessions::inspector {
namespace {

constexpr std::size_t kMaxArgument = 512;
constexpr std::size_t kMaxReply = 4096;
constexpr std::size_t kMaxArguments = 16;

/// One direction of a connection.
class RespReader {
 public:
  /// Calls `use` with each complete value and its size. False if the bytes are not RESP.
  template <typename Use>
  bool feed(std::string_view bytes, Use use) {
    unread_ += bytes.size();
    if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) {
      return false;
    }
    for (;;) {
      void* value = nullptr;
      if (redisReaderGetReply(reader_.get(), &value) != REDIS_OK) {
        return false;
      }
      if (value == nullptr) {
        return true;
      }
      const auto unread = reader_->len - reader_->pos;
      const std::unique_ptr<redisReply, decltype(&freeReplyObject)> reply{
          static_cast<redisReply*>(value), freeReplyObject};
      use(*reply, std::exchange(unread_, unread) - unread);
    }
  }

 private:
  std::size_t unread_ = 0;
  std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader_{redisReaderCreate(),
                                                                   redisReaderFree};
};

std::string shortened(std::string text, std::size_t limit) {
  if (text.size() > limit) {
    text = fmt::format("{}... ({} bytes)", text.substr(0, limit), text.size());
  }
  return text;
}

std::string text_of(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_INTEGER:
      return std::to_string(reply.integer);
    case REDIS_REPLY_NIL:
      return "nil";
    case REDIS_REPLY_ARRAY: {
      std::string list;
      for (std::size_t i = 0; i < reply.elements && list.size() < kMaxReply; ++i) {
        list.append(i == 0 ? "" : ", ").append(text_of(*reply.element[i]));
      }
      return "[" + list + "]";
    }
    default:
      return {reply.str, static_cast<std::size_t>(reply.len)};
  }
}

bool has(const std::vector<std::string>& command, std::size_t position, std::string_view word) {
  return command.size() > position && equals_without_case(command[position], word);
}

std::vector<std::string> command_of(const redisReply& array) {
  std::vector<std::string> command;
  if (array.type != REDIS_REPLY_ARRAY) {
    command.push_back(text_of(array));
  }
  for (std::size_t i = 0; i < array.elements && i < kMaxArguments; ++i) {
    command.push_back(shortened(text_of(*array.element[i]), kMaxArgument));
  }
  if (has(command, 0, "AUTH") || has(command, 0, "HELLO")) {
    std::fill(command.begin() + 1, command.end(), "***");
  }
  return command;
}

/// Throws std::out_of_range if it is no list, or not as long.
const redisReply& element(const redisReply& list, std::size_t position) {
  if (position >= list.elements) {
    throw std::out_of_range{"a list that is too short"};
  }
  return *list.element[position];
}

/// What the taps before the nodes of one Redis share.
struct Nodes {
  asio::io_context& event_loop;
  std::string setting;
  bool tls;
  bool anywhere;
  Recorder& recorder;
  std::map<std::string, std::uint16_t> taps = {};  ///< their ports, by the nodes' addresses
};

std::uint16_t tap_node(const std::shared_ptr<Nodes>& nodes, const TcpAddress& node,
                       std::uint16_t port);

class RedisTap : public StoreTap {
 public:
  RedisTap(std::shared_ptr<Nodes> nodes, TcpAddress node)
      : StoreTap{nodes->recorder}, nodes_{std::move(nodes)}, node_{std::move(node)} {}

  void from_client(std::string_view bytes) override {
    is_resp_ = is_resp_ && commands_.feed(bytes, [&](const redisReply& text, std::size_t) {
      auto command = command_of(text);
      asks_for_slots_.push_back(has(command, 0, "CLUSTER") && has(command, 1, "SLOTS"));
      begin("redis", std::move(command), nodes_->taps.size() > 1 ? node_.text() : "");
    });
    if (!is_resp_) {
      begin("bytes", {printable(bytes)});
    }
  }

  // Passes on whole replies only.
  void from_server(std::string& bytes) override {
    std::string whole;
    std::size_t passed = 0;
    held_ += bytes;
    is_resp_ = is_resp_ && replies_.feed(bytes, [&](const redisReply& reply, std::size_t size) {
      whole += with_taps(reply, held_.substr(passed, size));
      passed += size;
      end(shortened(text_of(reply), kMaxReply), reply.type == REDIS_REPLY_ERROR);
    });
    held_.erase(0, passed);
    bytes = is_resp_ ? whole : whole + std::exchange(held_, {});
  }

 private:
  /// The reply as the server is to see it.
  std::string with_taps(const redisReply& reply, std::string bytes) {
    const bool is_about_slots = !asks_for_slots_.empty() && asks_for_slots_.front();
    if (!asks_for_slots_.empty()) {
      asks_for_slots_.pop_front();
    }
    try {
      if (bytes.starts_with("-MOVED ") || bytes.starts_with("-ASK ")) {
        // MOVED 3999 127.0.0.1:6381
        const auto error = text_of(reply);
        const auto address = error.rfind(' ') + 1;
        const auto colon = error.rfind(':');
        const auto tap =
            tap_before(error.substr(address, colon - address), error.substr(colon + 1));
        return fmt::format("-{}{}\r\n", error.substr(0, address), tap.text());
      }
      if (is_about_slots && reply.type == REDIS_REPLY_ARRAY) {
        return slots_with_taps(reply);
      }
    } catch (const std::exception&) {
      // It is not what it should be: let the server say so.
    }
    return bytes;
  }

  // Of each range its first slot, its last one, and its nodes, each with host and port
  // (https://redis.io/commands/cluster-slots).
  std::string slots_with_taps(const redisReply& ranges) {
    auto text = fmt::format("*{}\r\n", ranges.elements);
    for (std::size_t i = 0; i < ranges.elements; ++i) {
      const auto& range = *ranges.element[i];
      text += fmt::format("*{}\r\n:{}\r\n:{}\r\n", range.elements, element(range, 0).integer,
                          element(range, 1).integer);
      for (std::size_t j = 2; j < range.elements; ++j) {
        const auto& host = element(*range.element[j], 0);
        const auto tap = tap_before(host.type == REDIS_REPLY_STRING ? text_of(host) : "",
                                    text_of(element(*range.element[j], 1)));
        text += fmt::format("*2\r\n${}\r\n{}\r\n:{}\r\n", tap.host.size(), tap.host, tap.port);
      }
    }
    return text;
  }

  /// The address of the tap before a node, or that of a node that must not have one. An empty host,
  /// or ?, means this node's.
  TcpAddress tap_before(const std::string& host, const std::string& port) {
    const auto address = (host.empty() || host == "?" ? node_.host : host) + ":" + port;
    try {
      return {"127.0.0.1",
              tap_node(nodes_, TcpAddress::parse(nodes_->setting, address, nodes_->anywhere), 0)};
    } catch (const SettingError&) {
      return TcpAddress::parse(nodes_->setting, address, true);
    }
  }

  std::shared_ptr<Nodes> nodes_;
  TcpAddress node_;
  RespReader commands_;
  RespReader replies_;
  bool is_resp_ = true;
  std::deque<bool> asks_for_slots_;  ///< of each command that waits for its reply
  std::string held_;                 ///< the beginning of a reply
};

std::uint16_t tap_node(const std::shared_ptr<Nodes>& nodes, const TcpAddress& node,
                       std::uint16_t port) {
  auto& tap = nodes->taps[node.text()];
  if (tap == 0) {
    tap = start_relay(
        nodes->event_loop, nodes->setting, port, node,
        [nodes, node] { return std::make_unique<RedisTap>(nodes, node); }, nodes->tls);
  }
  return tap;
}

}  // namespace

std::uint16_t tap_redis(asio::io_context& event_loop, std::string_view setting, std::uint16_t port,
                        const RedisUrl& url, bool anywhere, Recorder& recorder) {
  const auto nodes =
      std::make_shared<Nodes>(Nodes{event_loop, std::string{setting}, url.tls, anywhere, recorder});
  return tap_node(nodes, TcpAddress::parse(setting, url.host + ":" + url.port, true), port);
}

}  // namespace sessions::inspector

#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <strings.h>

#include <algorithm>
#include <deque>

#include "taps.hpp"

namespace sessions::inspector {
namespace {

constexpr std::size_t kMaxArgument = 512;
constexpr std::size_t kMaxReply = 4096;
constexpr std::size_t kMaxArguments = 16;

struct FreeReader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

/// One direction of a connection.
class RespReader {
 public:
  /// Calls `use` with each complete value. False if the bytes are not RESP.
  template <typename Use>
  bool feed(std::string_view bytes, Use use) {
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
      use(*Reply{static_cast<redisReply*>(value)});
    }
  }

 private:
  std::unique_ptr<redisReader, FreeReader> reader_{redisReaderCreate()};
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

std::vector<std::string> command_of(const redisReply& array) {
  std::vector<std::string> command;
  if (array.type != REDIS_REPLY_ARRAY) {
    command.push_back(text_of(array));
  }
  for (std::size_t i = 0; i < array.elements && i < kMaxArguments; ++i) {
    command.push_back(shortened(text_of(*array.element[i]), kMaxArgument));
  }
  const auto is = [&](const char* name) {
    return !command.empty() && ::strcasecmp(command.front().c_str(), name) == 0;
  };
  if (is("AUTH") || is("HELLO")) {
    std::fill(command.begin() + 1, command.end(), "***");
  }
  return command;
}

class RedisTap : public Tap {
 public:
  explicit RedisTap(Recorder& recorder)
      : recorder_{recorder}, connection_{recorder.new_connection()} {}

  void from_client(std::string_view bytes) override {
    is_resp_ = is_resp_ && commands_.feed(bytes, [&](const redisReply& command) {
      waiting_.push_back(begin("redis", command_of(command)));
    });
    if (!is_resp_) {
      begin("bytes", {printable(bytes)});
    }
  }

  void from_server(std::string& bytes) override {
    is_resp_ = is_resp_ && replies_.feed(bytes, [&](const redisReply& reply) {
      if (!waiting_.empty()) {
        recorder_.call_ends(waiting_.front(), shortened(text_of(reply), kMaxReply),
                            reply.type == REDIS_REPLY_ERROR);
        waiting_.pop_front();
      }
    });
  }

  void server_closed() override {
    for (const auto call : waiting_) {
      recorder_.call_ends(call, "the connection was closed", true);
    }
    waiting_.clear();
  }

 private:
  std::uint64_t begin(std::string kind, std::vector<std::string> command) {
    StoreCall call;
    call.connection = connection_;
    call.kind = std::move(kind);
    call.command = std::move(command);
    return recorder_.call_begins(std::move(call));
  }

  Recorder& recorder_;
  std::uint64_t connection_;
  RespReader commands_;
  RespReader replies_;
  bool is_resp_ = true;
  std::deque<std::uint64_t> waiting_;  ///< for their replies, in the order of the commands
};

}  // namespace

std::unique_ptr<Tap> tap_redis(Recorder& recorder) { return std::make_unique<RedisTap>(recorder); }

}  // namespace sessions::inspector

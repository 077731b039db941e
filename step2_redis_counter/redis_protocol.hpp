// Redis' protocol: commands into bytes, and bytes into replies, which hiredis reads
// (https://redis.io/docs/latest/develop/reference/protocol-spec/).
#pragma once

#include <hiredis/hiredis.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis_reply.hpp"

namespace sessions {

/// Appends a command's bytes to `output`: a list of strings, each with its size before it.
void append_command(std::string& output, const std::vector<std::string>& arguments);

/// Takes the replies of one connection out of its bytes. What a reply may cost is bounded: a server
/// that announces two billion elements must not keep the event loop busy with them.
class RedisReplyReader {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{4} << 20;  ///< of one reply
  static constexpr std::size_t kMostElements = 1'000'000;          ///< of one list
  static constexpr int kDeepest = 7;                               ///< lists within lists

  RedisReplyReader();
  RedisReplyReader(const RedisReplyReader&) = delete;
  RedisReplyReader& operator=(const RedisReplyReader&) = delete;

  void feed(std::string_view bytes);
  /// The next reply, if all of it has arrived. Throws std::runtime_error for what is no reply or is
  /// beyond a bound; the connection is of no use then.
  std::optional<RedisReply> next();

 private:
  static void* add(const redisReadTask& task, RedisReply::Value value);

  std::size_t size_ = 0;  ///< bytes since the last complete reply
  RedisReply reply_;      ///< as far as it has arrived
  std::string excess_;    ///< the bound that was exceeded
  std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader_;
};

}  // namespace sessions

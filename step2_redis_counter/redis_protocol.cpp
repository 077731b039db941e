#include "redis_protocol.hpp"

#include <fmt/format.h>

#include <new>
#include <stdexcept>
#include <utility>

namespace sessions {

void append_command(std::string& output, const std::vector<std::string>& arguments) {
  output += '*' + std::to_string(arguments.size()) + "\r\n";
  for (const auto& argument : arguments) {
    output += '$' + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
  }
}

// hiredis calls these for every element. They build our replies, so that it allocates none of its
// own, above all not as many as a list claims to have.
RedisReplyReader::RedisReplyReader() : reader_{nullptr, redisReaderFree} {
  static redisReplyObjectFunctions functions = [] {
    redisReplyObjectFunctions building{};
    building.createString = [](const redisReadTask* task, char* text, std::size_t size) {
      return task->type == REDIS_REPLY_ERROR ? add(*task, RedisError{std::string{text, size}})
                                             : add(*task, std::string{text, size});
    };
    // The type of the number of elements differs between hiredis 0.14 and 1.
    building.createArray = [](const redisReadTask* task, auto elements) -> void* {
      auto& self = *static_cast<RedisReplyReader*>(task->privdata);
      if (static_cast<std::size_t>(elements) > kMostElements) {
        self.excess_ = "more elements";
      } else if (self.reader_->ridx >= kDeepest) {  // how many lists are around this one
        self.excess_ = "deeper lists";
      }
      return self.excess_.empty() ? add(*task, RedisReply::List{}) : nullptr;
    };
    building.createInteger = [](const redisReadTask* task, long long number) {
      return add(*task, std::int64_t{number});
    };
    building.createNil = [](const redisReadTask* task) { return add(*task, std::monostate{}); };
    building.freeObject = [](void* /*reply*/) {};  // reply_ owns it
    return building;
  }();
  reader_.reset(redisReaderCreateWithFunctions(&functions));
  if (!reader_) {
    throw std::bad_alloc{};
  }
  reader_->privdata = this;
}

void* RedisReplyReader::add(const redisReadTask& task, RedisReply::Value value) {
  if (task.parent == nullptr) {
    auto& reply = static_cast<RedisReplyReader*>(task.privdata)->reply_;
    reply = RedisReply{std::move(value)};
    return &reply;
  }
  // Only the last element of a list can still be growing, and it does not move while it grows.
  return &static_cast<RedisReply*>(task.parent->obj)->list().emplace_back(std::move(value));
}

void RedisReplyReader::feed(std::string_view bytes) {
  size_ += bytes.size();
  redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
}

std::optional<RedisReply> RedisReplyReader::next() {
  void* complete = nullptr;
  const bool is_protocol = redisReaderGetReply(reader_.get(), &complete) == REDIS_OK;
  if (excess_.empty() && complete == nullptr && size_ > kMostBytes) {
    excess_ = "more bytes";
  }
  if (!excess_.empty()) {
    throw std::runtime_error{fmt::format("a reply with {} than allowed", excess_)};
  }
  if (!is_protocol) {
    throw std::runtime_error{std::string{reader_->errstr}};
  }
  if (complete == nullptr) {
    return std::nullopt;
  }
  size_ = reader_->len - reader_->pos;
  return std::exchange(reply_, {});
}

}  // namespace sessions

#include "redis_protocol.hpp"

#include <fmt/format.h>

#include <new>
#include <stdexcept>
#include <utility>

namespace sessions {

void append_command(std::string& output, const std::vector<std::string>& arguments) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  texts.reserve(arguments.size());
  sizes.reserve(arguments.size());
  for (const auto& argument : arguments) {
    texts.push_back(argument.data());
    sizes.push_back(argument.size());
  }
  char* bytes = nullptr;
  const auto size = redisFormatCommandArgv(&bytes, static_cast<int>(arguments.size()), texts.data(),
                                           sizes.data());
  if (size < 0) {
    throw std::bad_alloc{};
  }
  const std::unique_ptr<char, decltype(&redisFreeCommand)> owned{bytes, redisFreeCommand};
  output.append(bytes, static_cast<std::size_t>(size));
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
    building.createArray = [](const redisReadTask* task, auto elements) {
      return add_list(*task, static_cast<std::size_t>(elements));
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

void* RedisReplyReader::add_list(const redisReadTask& task, std::size_t elements) {
  int depth = 1;
  for (const auto* outer = task.parent; outer != nullptr; outer = outer->parent) {
    ++depth;
  }
  if (elements > kMostElements || depth > kDeepest) {
    static_cast<RedisReplyReader*>(task.privdata)->excess_ =
        elements > kMostElements ? "more elements" : "deeper lists";
    return nullptr;
  }
  return add(task, RedisReply::List{});
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

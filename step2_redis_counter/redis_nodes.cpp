#include "redis_nodes.hpp"

#include <algorithm>
#include <array>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

namespace sessions {
namespace {

constexpr std::size_t kSlots = 16384;
/// Two nodes that hand a slot over can name each other for a moment.
constexpr int kRedirectionsWithoutPause = 3;
constexpr std::chrono::milliseconds kPause{25};
constexpr std::chrono::milliseconds kPauseOfRefresh{100};

/// The slot of the key that decides where a command goes: a script's first, else the first
/// argument. One without a key may go anywhere.
std::size_t slot_for(const RedisCommand::Arguments& arguments) {
  const bool is_script = arguments[0] == "EVAL" || arguments[0] == "EVALSHA";
  const std::size_t position = is_script ? 3 : 1;
  const bool has_key = arguments.size() > position && !(is_script && arguments[2] == "0");
  return has_key ? slot_of(arguments[position]) : 0;
}

/// True if another node of the cluster can execute the command, or this one in a moment.
bool is_redirection(const RedisError& error) {
  constexpr std::array<std::string_view, 4> kCodes{"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"};
  return std::ranges::find(kCodes, error.code()) != kCodes.end();
}

/// True if the error says something of the server's state and nothing of the command: the same
/// command may succeed later, or elsewhere, or once the configuration is right.
bool is_about_server(const RedisError& error) {
  constexpr std::array<std::string_view, 7> kCodes{"LOADING", "BUSY",   "MASTERDOWN", "OOM",
                                                   "MISCONF", "NOPERM", "NOREPLICAS"};
  const std::string_view message{error.what()};
  return is_redirection(error) || std::ranges::find(kCodes, error.code()) != kCodes.end() ||
         // NOPERM in a script, as Redis 7.0 and later versions say it
         message.starts_with("ERR The user executing the script") ||
         message.starts_with("ERR ACL failure in script");
}

}  // namespace

std::size_t slot_of(std::string_view key) {
  if (const auto open = key.find('{'); open != std::string_view::npos) {
    const auto close = key.find('}', open);
    if (close != std::string_view::npos && close > open + 1) {
      key = key.substr(open + 1, close - open - 1);
    }
  }
  unsigned crc = 0;
  for (const char character : key) {
    crc ^= static_cast<unsigned>(static_cast<unsigned char>(character)) << 8U;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc << 1U) ^ ((crc & 0x8000U) != 0 ? 0x1021U : 0U);
    }
  }
  return crc % kSlots;
}

RedisNodes::RedisNodes(asio::io_context& event_loop, RedisUrl seed)
    : event_loop_{event_loop},
      seed_{std::make_shared<RedisConnection>(event_loop, seed)},
      nodes_{{seed.without_password(), seed_}} {}

// The life of one command.
asio::awaitable<RedisReply> RedisNodes::execute(RedisCommand::Arguments arguments) {
  const auto self = shared_from_this();
  co_await asio::post(event_loop_, asio::use_awaitable);
  if (!std::exchange(has_asked_, true)) {
    refresh_soon();
  }
  const auto command = std::make_shared<RedisCommand>(event_loop_, std::move(arguments));
  auto node = node_for(*command);
  for (;;) {
    if (is_stopped_) {
      throw ClientStopped{};
    }
    std::string problem;
    try {
      auto reply = co_await node->execute(command);
      const auto* error = reply.error();
      if (error == nullptr) {
        co_return std::move(reply);
      }
      if (!is_about_server(*error)) {
        throw RedisError{*error};
      }
      problem = node->describe(error->what());
      if (!is_redirection(*error)) {
        throw ServiceUnavailable{problem};
      }
      auto other = redirect(*node, *command, *error);
      if (other && ++command->redirections <= kRedirectionsWithoutPause) {
        node = std::move(other);
        continue;
      }
    } catch (const RedisUnreachable& error) {
      if (slots_.empty()) {
        throw;
      }
      problem = error.what();
      refresh_soon();  // a replica may have taken over
    }
    asio::steady_timer pause{event_loop_, kPause};
    co_await pause.async_wait(asio::use_awaitable);
    if (command->timer.expiry() <= std::chrono::steady_clock::now()) {
      throw ServiceUnavailable{problem};
    }
    command->redirections = 1;
    command->asking = false;
    node = node_for(*command);
  }
}

asio::awaitable<void> RedisNodes::stop() {
  is_stopped_ = true;
  for (const auto& [address, node] : nodes_) {
    node->stop();
  }
  co_await asio::post(event_loop_, asio::use_awaitable);  // they fail before it goes on here
}

RedisNodes::Node RedisNodes::named_by(const RedisConnection& from, std::string_view host,
                                      std::string_view port) {
  auto url = from.url();
  url.path.clear();
  if (!host.empty() && host != "?") {
    url.host = host;
  }
  url.port = port;
  auto& node = nodes_[url.without_password()];
  if (!node) {
    node = std::make_shared<RedisConnection>(event_loop_, std::move(url));
  }
  return node;
}

const RedisNodes::Node& RedisNodes::node_for(const RedisCommand& command) const {
  return slots_.empty() ? seed_ : slots_[slot_for(command.arguments)];
}

RedisNodes::Node RedisNodes::redirect(const RedisConnection& from, RedisCommand& command,
                                      const RedisError& error) {
  // MOVED 3999 127.0.0.1:6381, or the same with ASK; an IPv6 address has more colons. TRYAGAIN
  // means that some of a script's keys have moved, and some have not; CLUSTERDOWN, that a node does
  // not see all slots served, as one does for a moment when it takes over.
  const std::string_view text = error.what();
  const auto address = text.substr(text.rfind(' ') + 1);
  const auto colon = address.rfind(':');
  const bool names_node = error.code() == "MOVED" || error.code() == "ASK";
  if (!names_node || colon == std::string_view::npos) {
    return nullptr;
  }
  auto node = named_by(from, address.substr(0, colon), address.substr(colon + 1));
  command.asking = error.code() == "ASK";
  if (!command.asking) {
    slots_.resize(kSlots, seed_);
    slots_[slot_for(command.arguments)] = node;
    refresh_soon();
  }
  return node;
}

void RedisNodes::refresh_soon() {
  if (!std::exchange(is_refreshing_, true)) {
    asio::co_spawn(event_loop_, refresh(), asio::detached);
  }
}

asio::awaitable<void> RedisNodes::refresh() {
  const auto self = shared_from_this();
  const auto nodes = nodes_;  // in turn, for the first may be the one that is gone
  for (const auto& [address, node] : nodes) {
    if (is_stopped_) {
      co_return;
    }
    try {
      const auto question =
          std::make_shared<RedisCommand>(event_loop_, RedisCommand::Arguments{"CLUSTER", "SLOTS"});
      const auto reply = co_await node->execute(question);
      if (reply.error() == nullptr) {
        adopt(*node, reply);
      }
      break;  // also if this is no cluster, or we may not ask: then MOVED says what we need
    } catch (const std::exception&) {
      // Another node may know more.
    }
  }
  asio::steady_timer pause{event_loop_, kPauseOfRefresh};
  co_await pause.async_wait(asio::use_awaitable);
  is_refreshing_ = false;
}

// Each entry is a first slot, a last slot, the primary (host, port, ...), and its replicas
// (https://redis.io/commands/cluster-slots).
void RedisNodes::adopt(const RedisConnection& from, const RedisReply& reply) {
  std::vector<Node> slots(kSlots, seed_);
  for (const auto& range : reply.list()) {
    const auto first = range.list().at(0).integer();
    const auto last = range.list().at(1).integer();
    const auto& primary = range.list().at(2).list();
    const auto node = named_by(from, primary.at(0).is_nil() ? "" : primary.at(0).string(),
                               std::to_string(primary.at(1).integer()));
    for (auto slot = first; slot <= last; ++slot) {
      slots.at(static_cast<std::size_t>(slot)) = node;
    }
  }
  slots_ = std::move(slots);
  std::erase_if(nodes_, [this](const auto& entry) {
    const auto& node = entry.second;
    const bool is_needed =
        node == seed_ || !node->is_idle() || std::ranges::find(slots_, node) != slots_.end();
    if (!is_needed) {
      node->stop();
    }
    return !is_needed;
  });
}

}  // namespace sessions

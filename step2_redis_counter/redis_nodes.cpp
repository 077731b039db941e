#include "redis_nodes.hpp"

#include <algorithm>
#include <array>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include "errors.hpp"

namespace sessions {
namespace {

constexpr std::size_t kSlots = 16384;
/// Two nodes that hand a slot over can name each other for a moment.
constexpr int kRedirectionsWithoutPause = 3;
constexpr std::chrono::milliseconds kPause{25};
constexpr std::chrono::milliseconds kPauseOfRefresh{100};

constexpr auto kCrcOfByte = [] {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    unsigned crc = byte << 8U;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc << 1U) ^ ((crc & 0x8000U) != 0 ? 0x1021U : 0U);
    }
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}();

/// The key that decides where a command goes: a script's first, else the first argument. Null if
/// there is none.
const std::string* key_of(const RedisCommand::Arguments& arguments) {
  const bool is_script = arguments[0] == "EVAL" || arguments[0] == "EVALSHA";
  const std::size_t position = is_script ? 3 : 1;
  if (arguments.size() <= position || (is_script && arguments[2] == "0")) {
    return nullptr;
  }
  return &arguments[position];
}

struct Redirection {
  std::size_t slot;
  std::string_view host;
  std::string_view port;
};

/// MOVED 3999 127.0.0.1:6381, or the same with ASK; nothing for another text.
std::optional<Redirection> parse_redirection(std::string_view error) {
  const auto first = error.find(' ') + 1;
  const auto second = error.find(' ', first) + 1;
  const auto colon = error.rfind(':');  // an IPv6 address has more of them
  std::size_t slot = 0;
  if (std::from_chars(error.data() + first, error.data() + error.size(), slot).ec != std::errc{} ||
      slot >= kSlots || second == 0 || colon == std::string_view::npos || colon < second) {
    return std::nullopt;
  }
  return Redirection{slot, error.substr(second, colon - second), error.substr(colon + 1)};
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
    const auto byte = static_cast<unsigned char>(character);
    crc = ((crc << 8U) ^ kCrcOfByte[(crc >> 8U) ^ byte]) & 0xFFFFU;
  }
  return crc % kSlots;
}

RedisNodes::RedisNodes(asio::io_context& event_loop, RedisUrl seed)
    : event_loop_{event_loop},
      tls_{seed.tls ? std::make_shared<asio::ssl::context>(redis_tls()) : nullptr},
      seed_{connection_to(std::move(seed))},
      pause_timer_{event_loop},
      refresh_timer_{event_loop, RedisCommand::Clock::now()} {}

void RedisNodes::submit(std::unique_ptr<RedisCommand> command) {
  if (!std::exchange(has_asked_, true)) {
    refresh_soon();
  }
  const auto& node = slots_.empty() ? seed_ : node_for(command->arguments);
  node->submit(std::move(command));
}

void RedisNodes::stop() {
  pause_timer_.cancel();
  refresh_timer_.cancel();
  for (const auto& [address, node] : nodes_) {
    node->stop();
  }
  for (auto& command : std::exchange(paused_, {})) {
    command->complete(std::make_exception_ptr(ClientStopped{}), {});
  }
}

void RedisNodes::redirect(const RedisConnection& from, std::unique_ptr<RedisCommand> command,
                          const RedisError& error) {
  const auto target = parse_redirection(error.what());
  if (!target) {  // TRYAGAIN: some of a script's keys have moved, and some have not
    pause(std::move(command), from.unavailable(error.what()));
    return;
  }
  const auto node = named_by(from, target->host, target->port);
  if (error.code() == "MOVED") {
    slots_.resize(kSlots, seed_);
    slots_[target->slot] = node;
    refresh_soon();
  }
  if (++command->redirections > kRedirectionsWithoutPause) {
    pause(std::move(command), from.unavailable(error.what()));
    return;
  }
  command->asking = error.code() == "ASK";
  node->submit(std::move(command));
}

void RedisNodes::lost(std::deque<std::unique_ptr<RedisCommand>> unsent,
                      const std::exception_ptr& failure) {
  if (!slots_.empty()) {
    refresh_soon();  // a replica may have taken over
  }
  for (auto& command : unsent) {
    if (slots_.empty()) {
      command->complete(failure, {});
    } else {
      pause(std::move(command), failure);
    }
  }
}

RedisNodes::Node RedisNodes::connection_to(RedisUrl url) {
  auto& node = nodes_[url.without_password()];
  if (!node) {
    node = std::make_shared<RedisConnection>(event_loop_, std::move(url), tls_, *this);
  }
  return node;
}

RedisNodes::Node RedisNodes::named_by(const RedisConnection& from, std::string_view host,
                                      std::string_view port) {
  auto url = from.url();
  url.path.clear();
  if (!host.empty() && host != "?") {
    url.host = host;
  }
  url.port = port;
  return connection_to(std::move(url));
}

const RedisNodes::Node& RedisNodes::node_for(const RedisCommand::Arguments& arguments) const {
  const auto* key = key_of(arguments);
  return slots_[key == nullptr ? 0 : slot_of(*key)];
}

void RedisNodes::pause(std::unique_ptr<RedisCommand> command, const std::exception_ptr& failure) {
  if (command->deadline - RedisCommand::Clock::now() <= kPause) {
    command->complete(failure, {});
    return;
  }
  command->redirections = 1;
  paused_.push_back(std::move(command));
  if (paused_.size() > 1) {
    return;
  }
  pause_timer_.expires_after(kPause);
  pause_timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
    if (!error) {
      for (auto& paused : std::exchange(self->paused_, {})) {
        self->submit(std::move(paused));
      }
    }
  });
}

void RedisNodes::refresh_soon() {
  if (!std::exchange(is_refreshing_, true)) {
    asio::co_spawn(event_loop_, refresh(), asio::detached);
  }
}

asio::awaitable<void> RedisNodes::refresh() {
  const auto self = shared_from_this();
  std::error_code stopped;
  co_await refresh_timer_.async_wait(asio::redirect_error(asio::use_awaitable, stopped));
  const auto nodes = nodes_;  // in turn, for the first may be the one that is gone
  for (const auto& [address, node] : nodes) {
    try {
      RedisCommand::Arguments question{"CLUSTER", "SLOTS"};
      const auto reply = co_await suspend_for_reply(
          std::move(question),
          [&node](std::unique_ptr<RedisCommand> command) { node->submit(std::move(command)); });
      adopt(*node, reply);
      break;
    } catch (const RedisError&) {
      break;  // no cluster, or we may not ask: then MOVED says what we need
    } catch (const std::exception&) {
      // Another node may know more.
    }
  }
  refresh_timer_.expires_after(kPauseOfRefresh);
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

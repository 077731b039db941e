#include "recorder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>

namespace sessions::inspector {
namespace {

using nlohmann::json;

// Also how long the end of the program waits for pages that wait.
constexpr std::chrono::seconds kPatience{2};
constexpr std::size_t kMaxBytes = 1024;

/// A request's fields that may say who it is for: those of a form.
void add_form_values(const HttpMessage& request, std::vector<std::string>& identities) {
  const auto type = request.header("Content-Type").value_or("");
  if (!type.starts_with("application/x-www-form-urlencoded")) {
    return;
  }
  const auto equals = request.body.find('=');
  if (equals != std::string::npos) {
    const auto value = request.body.substr(equals + 1, request.body.find('&') - equals - 1);
    if (!value.empty()) {
      identities.push_back(value);
    }
  }
}

json message_json(const HttpMessage& message) {
  return {{"head", message.head}, {"body", message.body}, {"bodySize", message.body_size}};
}

json to_json(const StoreCall& call) {
  return {{"id", call.id},
          {"node", call.node},
          {"started", call.started},
          {"ended", call.ended},
          {"kind", call.kind},
          {"command", call.command},
          {"reply", call.reply},
          {"failed", call.has_failed},
          {"exchange", call.exchange ? json(*call.exchange) : json(nullptr)},
          {"certain", call.is_certain}};
}

/// The entry with this number in a queue whose numbers are consecutive.
template <typename Queue>
auto* find_in(Queue& queue, std::uint64_t id) {
  const bool is_there = !queue.empty() && id >= queue.front().id && id <= queue.back().id;
  return is_there ? &queue[id - queue.front().id] : nullptr;
}

}  // namespace

std::string printable(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes.substr(0, kMaxBytes)) {
    const bool is_plain = (byte >= ' ' && byte < 0x7f && byte != '\\') || byte == '\n';
    text += is_plain ? std::string(1, byte)
                     : fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

void Recorder::connection_closed(std::uint64_t connection) {
  jars_.closed(connection);
  for (auto& exchange : exchanges_) {
    if (exchange.connection == connection && under_way_.erase(exchange.id) > 0) {
      exchange.ended = now();
      changed(exchange.version);
    }
  }
}

std::uint64_t Recorder::request_begins(std::uint64_t connection, const HttpMessage& head) {
  Exchange exchange;
  exchange.id = ++last_exchange_;
  exchange.connection = connection;
  exchange.started = now();
  exchange.request = head;
  std::vector<CookiePair> cookies;
  for (const auto& header : head.all_headers("Cookie")) {
    std::ranges::move(cookies_in(header), std::back_inserter(cookies));
  }
  for (const auto& cookie : cookies) {
    std::ranges::move(identities_in(cookie.second), std::back_inserter(exchange.identities));
  }
  auto& jar = jars_.seen(connection, head.header("User-Agent").value_or(""), cookies,
                         head.header("Sec-Fetch-Site") != "cross-site");
  exchange.jar = jar.id;
  changed(&jar);
  changed(exchange.version);
  under_way_.insert(exchange.id);
  exchanges_.push_back(std::move(exchange));
  if (exchanges_.size() > kMaxExchanges) {
    under_way_.erase(exchanges_.front().id);
    exchanges_.pop_front();
  }
  return last_exchange_;
}

void Recorder::request_ends(std::uint64_t id, HttpMessage request) {
  if (auto* exchange = find(id)) {
    add_form_values(request, exchange->identities);
    exchange->request = std::move(request);
    changed(exchange->version);
  }
}

std::uint64_t Recorder::not_a_request(std::uint64_t connection, std::string_view bytes) {
  HttpMessage message;
  message.head = printable(bytes);
  const auto id = request_begins(connection, message);
  exchanges_.back().is_http = false;
  return id;
}

void Recorder::response_begins(std::uint64_t id, const HttpMessage& head) {
  if (auto* exchange = find(id)) {
    exchange->response = head;
    changed(jars_.answered(exchange->connection, exchange->jar, head.all_headers("Set-Cookie")));
    changed(exchange->version);
  }
}

void Recorder::response_ends(std::uint64_t id, HttpMessage response) {
  under_way_.erase(id);
  if (auto* exchange = find(id)) {
    exchange->response = std::move(response);
    exchange->ended = now();
    changed(exchange->version);
  }
}

std::uint64_t Recorder::call_begins(StoreCall call) {
  call.id = ++last_call_;
  call.started = now();
  call.is_certain = under_way_.size() == 1;
  if (call.is_certain) {
    call.exchange = *under_way_.begin();
  } else if (!under_way_.empty()) {
    std::string text;
    for (const auto& argument : call.command) {
      text.append(argument).append(" ");
    }
    std::vector<std::uint64_t> named;
    std::ranges::copy_if(under_way_, std::back_inserter(named), [&](std::uint64_t id) {
      const auto* exchange = find(id);
      return exchange != nullptr &&
             std::ranges::any_of(exchange->identities,
                                 [&](const auto& identity) { return names(text, identity); });
    });
    if (named.size() == 1) {
      call.exchange = named.front();
    }
  }
  changed(call.version);
  calls_.push_back(std::move(call));
  if (calls_.size() > kMaxStoreCalls) {
    calls_.pop_front();
  }
  return last_call_;
}

void Recorder::call_ends(std::uint64_t id, std::string reply, bool has_failed) {
  if (auto* call = find_in(calls_, id)) {
    call->reply = std::move(reply);
    call->has_failed = has_failed;
    call->ended = now();
    changed(call->version);
  }
}

void Recorder::plant(std::uint64_t jar, std::string set_cookie) {
  if (jars_.find(jar) != nullptr) {
    plants_[jar] = std::move(set_cookie);
  }
}

std::string Recorder::take_plant(std::uint64_t id) {
  const auto* exchange = find(id);
  const auto plant = exchange == nullptr ? plants_.end() : plants_.find(exchange->jar);
  if (plant == plants_.end()) {
    return {};
  }
  auto line = std::move(plant->second);
  plants_.erase(plant);
  return line;
}

const Exchange* Recorder::exchange(std::uint64_t id) const { return find_in(exchanges_, id); }

asio::awaitable<json> Recorder::changes_since(std::uint64_t version) {
  if (version >= version_) {
    asio::steady_timer timer{co_await asio::this_coro::executor, kPatience};
    const auto waiting = std::shared_ptr<void>{
        nullptr, [this, entry = waiting_.insert(&timer).first](void*) { waiting_.erase(entry); }};
    asio::error_code woken;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  json changes{{"version", version_},
               {"now", now()},
               {"firstExchange", exchanges_.empty() ? 0 : exchanges_.front().id},
               {"exchanges", json::array()},
               {"calls", json::array()},
               {"jars", json::array()}};
  for (const auto& exchange : exchanges_) {
    if (exchange.version > version) {
      changes["exchanges"].push_back(to_json(exchange));
    }
  }
  for (const auto& call : calls_) {
    if (call.version > version) {
      changes["calls"].push_back(inspector::to_json(call));
    }
  }
  for (const auto& jar : jars_.all()) {
    if (jar.version > version) {
      changes["jars"].push_back(to_json(jar));
    }
  }
  co_return changes;
}

Exchange* Recorder::find(std::uint64_t id) { return find_in(exchanges_, id); }

void Recorder::changed(std::uint64_t& version) {
  version = ++version_;
  for (auto* timer : waiting_) {
    timer->cancel();
  }
}

void Recorder::changed(Jar* jar) {
  if (jar != nullptr) {
    changed(jar->version);
  }
}

json Recorder::cookie_json(const std::string& name, const std::string& value) const {
  return {{"name", name}, {"value", value}, {"signature", keys_.signature_of(value)}};
}

json Recorder::to_json(const Exchange& exchange) const {
  json result{{"id", exchange.id},
              {"connection", exchange.connection},
              {"jar", exchange.jar},
              {"started", exchange.started},
              {"ended", exchange.ended},
              {"isHttp", exchange.is_http},
              {"method", exchange.request.word(0)},
              {"target", exchange.request.word(1)},
              {"status", exchange.response.status()},
              {"request", message_json(exchange.request)},
              {"response", message_json(exchange.response)},
              {"instance", exchange.response.header("X-Instance").value_or("")},
              {"setCookie", exchange.response.all_headers("Set-Cookie")},
              {"cookies", json::array()}};
  for (const auto& header : exchange.request.all_headers("Cookie")) {
    for (const auto& [name, value] : cookies_in(header)) {
      result["cookies"].push_back(cookie_json(name, value));
    }
  }
  return result;
}

json Recorder::to_json(const Jar& jar) const {
  json result{{"id", jar.id},
              {"userAgent", jar.user_agent},
              {"lastSeen", jar.last_seen},
              {"requests", jar.requests},
              {"deleted", jar.deleted},
              {"cookies", json::array()},
              {"past", json::array()}};
  for (const auto& [name, cookie] : jar.cookies) {
    auto entry = cookie_json(name, cookie.value);
    entry["attributes"] = cookie.attributes;
    entry["expires"] = cookie.expires ? json(*cookie.expires) : json(nullptr);
    entry["changed"] = cookie.changed;
    result["cookies"].push_back(std::move(entry));
  }
  for (const auto& [name, value] : jar.past) {
    result["past"].push_back(cookie_json(name, value));
  }
  return result;
}

}  // namespace sessions::inspector

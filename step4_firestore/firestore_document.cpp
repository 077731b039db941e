#include "firestore_document.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <ctime>
#include <sstream>
#include <utility>

namespace sessions {
namespace {

using nlohmann::json;

std::optional<std::int64_t> parse_integer(const std::string& text) {
  std::int64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  if (result.ec != std::errc{} || result.ptr != end) {
    return std::nullopt;
  }
  return number;
}

/// RFC 3339 in UTC with up to nine digits of a second's fraction, which is what the service sends.
std::optional<FirestoreTime> parse_time(const std::string& text) {
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) {
    return std::nullopt;
  }
  std::int64_t microseconds = 0;
  if (*rest == '.') {
    std::int64_t unit = 100'000;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) {
      microseconds += (*rest - '0') * unit;
    }
  }
  if (std::string_view{rest} != "Z") {
    return std::nullopt;
  }
  return FirestoreTime{std::chrono::seconds{::timegm(&parts)}} +
         std::chrono::microseconds{microseconds};
}

/// Of two values that mean the same the server may write one in another way.
bool same_value(const json& left, const json& right) {
  const auto timestamp = left.find("timestampValue");
  const auto other = right.find("timestampValue");
  if (timestamp != left.end() && other != right.end()) {
    return parse_time(timestamp->get<std::string>()) == parse_time(other->get<std::string>());
  }
  return left == right;
}

constexpr std::string_view operator_name(FirestoreQuery::Comparison comparison) {
  constexpr std::array<std::string_view, 5> kNames{"EQUAL", "LESS_THAN", "LESS_THAN_OR_EQUAL",
                                                   "GREATER_THAN", "GREATER_THAN_OR_EQUAL"};
  return kNames.at(static_cast<std::size_t>(comparison));
}

}  // namespace

FirestoreTime firestore_time(std::chrono::seconds ahead) {
  return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now()) + ahead;
}

json firestore_value(std::string_view text) { return {{"stringValue", text}}; }

json firestore_value(std::int64_t number) { return {{"integerValue", std::to_string(number)}}; }

json firestore_value(FirestoreTime time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  return {{"timestampValue", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                                         fmt::gmtime(std::chrono::system_clock::to_time_t(whole)),
                                         (time - whole).count())}};
}

FirestoreFields::FirestoreFields(json fields) : fields_(std::move(fields)) {
  static_cast<void>(fields_.get_ref<const json::object_t&>());
}

std::optional<std::string> FirestoreFields::string(const std::string& name) const {
  const auto* value = find(name, "stringValue");
  return value == nullptr ? std::nullopt : std::optional{value->get<std::string>()};
}

std::optional<std::int64_t> FirestoreFields::integer(const std::string& name) const {
  const auto* value = find(name, "integerValue");
  return value == nullptr ? std::nullopt : parse_integer(value->get<std::string>());
}

std::optional<FirestoreTime> FirestoreFields::timestamp(const std::string& name) const {
  const auto* value = find(name, "timestampValue");
  return value == nullptr ? std::nullopt : parse_time(value->get<std::string>());
}

const json* FirestoreFields::find(const std::string& name, const char* type) const {
  const auto field = fields_.find(name);
  if (field == fields_.end()) {
    return nullptr;
  }
  const auto value = field->find(type);
  return value != field->end() && value->is_string() ? &*value : nullptr;
}

std::vector<std::string> FirestoreFields::names() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : fields_.items()) {
    names.push_back(name);
  }
  return names;
}

bool FirestoreFields::contain(const FirestoreFields& part) const {
  for (const auto& [name, value] : part.fields_.items()) {
    const auto found = fields_.find(name);
    if (found == fields_.end() || !same_value(*found, value)) {
      return false;
    }
  }
  return true;
}

FirestoreWrite FirestoreWrite::set(std::string path, FirestoreFields fields) {
  return {Kind::kUpdate, std::move(path), std::move(fields)};
}

FirestoreWrite FirestoreWrite::create(std::string path, FirestoreFields fields) {
  auto write = set(std::move(path), std::move(fields));
  write.precondition_ = {{"exists", false}};
  return write;
}

FirestoreWrite FirestoreWrite::update(std::string path, FirestoreFields fields) {
  auto write = set(std::move(path), std::move(fields));
  write.precondition_ = {{"exists", true}};
  return write;
}

FirestoreWrite FirestoreWrite::remove(std::string path) { return {Kind::kDelete, std::move(path)}; }

FirestoreWrite FirestoreWrite::verify(std::string path) { return {Kind::kVerify, std::move(path)}; }

FirestoreWrite FirestoreWrite::if_unchanged(const std::optional<FirestoreDocument>& read) && {
  if (precondition_.value("exists", read.has_value()) != read.has_value()) {
    throw std::logic_error{"creates a document that is there, or updates one that is not"};
  }
  precondition_ = read ? json{{"updateTime", read->update_time}} : json{{"exists", false}};
  return std::move(*this);
}

bool FirestoreWrite::is_visible_in(const std::optional<FirestoreDocument>& document) const {
  switch (kind_) {
    case Kind::kUpdate:
      return document && document->fields.contain(fields_);
    case Kind::kDelete:
      return !document;
    case Kind::kVerify:
      break;
  }
  return true;
}

json FirestoreWrite::to_json(std::string_view documents) const {
  const auto name = fmt::format("{}/{}", documents, path_);
  json write;
  if (kind_ == Kind::kUpdate) {
    // Without the mask, the write would replace the whole document.
    write = {{"update", {{"name", name}, {"fields", fields_.values()}}},
             {"updateMask", {{"fieldPaths", fields_.names()}}}};
  } else {
    write[kind_ == Kind::kDelete ? "delete" : "verify"] = name;
  }
  if (!precondition_.empty()) {
    write["currentDocument"] = precondition_;
  }
  return write;
}

json FirestoreQuery::to_json() const {
  json query;
  query["from"] = json::array({json::object({{"collectionId", collection}})});
  query["where"]["fieldFilter"] = {
      {"field", {{"fieldPath", field}}}, {"op", operator_name(comparison)}, {"value", value}};
  query["limit"] = limit;
  query["offset"] = offset;
  if (!order_by.empty()) {
    query["orderBy"] = json::array({json::object({{"field", {{"fieldPath", order_by}}}})});
  }
  return {{"structuredQuery", std::move(query)}};
}

}  // namespace sessions

#include "firestore_document.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <stdexcept>

namespace sessions {
namespace {

using nlohmann::json;

/// RFC 3339 in UTC with up to nine digits of a second's fraction, which is what the service sends.
FirestoreValue parse_time(const std::string& text) {
  std::tm parts{};
  const char* fraction = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (fraction == nullptr) {
    return {};
  }
  const std::chrono::duration<double> below_a_second{std::strtod(fraction, nullptr)};
  return FirestoreTime{std::chrono::seconds{::timegm(&parts)}} +
         std::chrono::round<std::chrono::microseconds>(below_a_second);
}

FirestoreValue value_from(const json& value) {
  for (const auto& [type, content] : value.items()) {
    if (type == "stringValue") {
      return content.get<std::string>();
    }
    if (type == "integerValue") {
      return std::int64_t{std::stoll(content.get<std::string>())};
    }
    if (type == "timestampValue") {
      return parse_time(content.get<std::string>());
    }
  }
  return {};
}

struct ToJson {
  json operator()(std::monostate /*null*/) const { return {{"nullValue", nullptr}}; }
  json operator()(const std::string& text) const { return {{"stringValue", text}}; }
  json operator()(std::int64_t number) const { return {{"integerValue", std::to_string(number)}}; }
  json operator()(FirestoreTime time) const {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    return {{"timestampValue", fmt::format("{:%F}T{:%T}Z", day, time - day)}};
  }
};

}  // namespace

FirestoreDocument FirestoreDocument::from_json(const json& document, std::string_view documents) {
  const auto name = document.at("name").get<std::string>();
  const auto values = document.value("fields", json::object());
  FirestoreFields fields;
  for (const auto& [field, value] : values.items()) {
    fields.set(field, value_from(value));
  }
  return {name.substr(std::min(documents.size() + 1, name.size())), std::move(fields),
          document.at("updateTime").get<std::string>()};
}

FirestoreWrite FirestoreWrite::if_unchanged(const std::optional<FirestoreDocument>& read) && {
  if (precondition.value("exists", read.has_value()) != read.has_value()) {
    throw std::logic_error{"creates a document that is there, or updates one that is not"};
  }
  precondition = read ? json{{"updateTime", read->update_time}} : json{{"exists", false}};
  return std::move(*this);
}

bool FirestoreWrite::is_visible_in(const std::optional<FirestoreDocument>& document) const {
  if (operation == "update") {
    return document && std::ranges::includes(document->fields.values(), fields.values());
  }
  return operation == "verify" || !document;
}

json FirestoreWrite::to_json(std::string_view documents) const {
  const auto name = fmt::format("{}/{}", documents, path);
  json write;
  if (operation == "update") {
    write["update"]["name"] = name;
    for (const auto& [field, value] : fields.values()) {
      write["update"]["fields"][field] = std::visit(ToJson{}, value);
      // Without the mask, the write would replace the whole document.
      write["updateMask"]["fieldPaths"].push_back(field);
    }
  } else {
    write[operation] = name;
  }
  if (!precondition.empty()) {
    write["currentDocument"] = precondition;
  }
  return write;
}

json FirestoreQuery::to_json() const {
  json query;
  query["from"] = json::array({json::object({{"collectionId", collection}})});
  query["where"]["fieldFilter"] = {{"field", {{"fieldPath", field}}},
                                   {"op", comparison},
                                   {"value", std::visit(ToJson{}, value)}};
  query["limit"] = limit;
  query["offset"] = offset;
  return {{"structuredQuery", std::move(query)}};
}

}  // namespace sessions

// Documents, changes and queries, as Firestore's REST API writes them
// (https://cloud.google.com/firestore/docs/reference/rest/v1/Value).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sessions {

/// Firestore keeps microseconds.
using FirestoreTime = std::chrono::sys_time<std::chrono::microseconds>;

/// The time now, `ahead` later.
inline FirestoreTime firestore_time(std::chrono::seconds ahead = {}) {
  return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now()) + ahead;
}

/// A field's value. std::monostate stands for null, and for all types that are not used here.
using FirestoreValue = std::variant<std::monostate, std::string, std::int64_t, FirestoreTime>;

/// Some or all fields of a document. Field names are letters, digits and underscores.
class FirestoreFields {
 public:
  FirestoreFields& set(const std::string& name, FirestoreValue value) {
    values_[name] = std::move(value);
    return *this;
  }

  /// Each is nothing if there is no such field or if it is of another type.
  std::optional<std::string> string(const std::string& name) const {
    return get<std::string>(name);
  }
  std::optional<std::int64_t> integer(const std::string& name) const {
    return get<std::int64_t>(name);
  }
  std::optional<FirestoreTime> timestamp(const std::string& name) const {
    return get<FirestoreTime>(name);
  }

  const std::map<std::string, FirestoreValue>& values() const { return values_; }

 private:
  template <typename Type>
  std::optional<Type> get(const std::string& name) const {
    const auto found = values_.find(name);
    return found != values_.end() && std::holds_alternative<Type>(found->second)
               ? std::optional{std::get<Type>(found->second)}
               : std::nullopt;
  }

  std::map<std::string, FirestoreValue> values_;
};

/// A document as it was read.
struct FirestoreDocument {
  /// `documents` is the name under which the API knows the database's root.
  static FirestoreDocument from_json(const nlohmann::json& document, std::string_view documents);

  std::string path;  ///< below the database's root, such as "sessions/abc"
  FirestoreFields fields;
  std::string update_time;  ///< when it was last changed, as the server writes it
};

/// A change of one document. Paths are "collection/id"; ids must come from a trusted place.
struct FirestoreWrite {
  /// Makes the document; refused with ALREADY_EXISTS if there is one.
  static FirestoreWrite create(std::string path, FirestoreFields fields) {
    return {"update", std::move(path), std::move(fields), {{"exists", false}}};
  }
  /// Sets these fields and leaves others alone; refused with NOT_FOUND if there is no document.
  static FirestoreWrite update(std::string path, FirestoreFields fields) {
    return {"update", std::move(path), std::move(fields), {{"exists", true}}};
  }
  /// Deletes the document if there is one.
  static FirestoreWrite remove(std::string path) { return {"delete", std::move(path)}; }
  /// Changes nothing: for a condition alone.
  static FirestoreWrite verify(std::string path) { return {"verify", std::move(path)}; }

  /// The same, but refused with FAILED_PRECONDITION or ALREADY_EXISTS if the document is no longer
  /// as it was read; nothing stands for one that was not there. Throws std::logic_error if what was
  /// read rules out this write.
  FirestoreWrite if_unchanged(const std::optional<FirestoreDocument>& read) &&;

  /// True if `document` is as this write leaves it.
  bool is_visible_in(const std::optional<FirestoreDocument>& document) const;
  nlohmann::json to_json(std::string_view documents) const;

  std::string operation;  ///< "update", "delete" or "verify"
  std::string path;
  FirestoreFields fields = {};
  nlohmann::json precondition = nlohmann::json::object();
};

/// Which documents of a collection to find: those whose field compares like this with the value.
struct FirestoreQuery {
  std::string collection;
  std::string field;
  std::string comparison = "EQUAL";  ///< the API's name, such as "LESS_THAN_OR_EQUAL"
  FirestoreValue value;
  std::int32_t limit = 1000;  ///< at least 1
  std::int32_t offset = 0;    ///< how many to pass over before

  nlohmann::json to_json() const;
};

}  // namespace sessions

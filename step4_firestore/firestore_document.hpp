// Documents and their fields as Firestore's REST API writes them
// (https://cloud.google.com/firestore/docs/reference/rest/v1/Value).
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sessions {

/// Firestore keeps microseconds.
using FirestoreTime = std::chrono::sys_time<std::chrono::microseconds>;

/// The time now, `ahead` later.
FirestoreTime firestore_time(std::chrono::seconds ahead = {});

/// Each makes a value: of type string, integer or timestamp.
nlohmann::json firestore_value(std::string_view text);
nlohmann::json firestore_value(std::int64_t number);
nlohmann::json firestore_value(FirestoreTime time);

/// Some or all fields of a document. Field names are letters, digits and underscores.
class FirestoreFields {
 public:
  FirestoreFields() = default;
  /// `fields` is an object whose members are values. Throws nlohmann::json::exception otherwise.
  explicit FirestoreFields(nlohmann::json fields);

  template <typename Value>
  FirestoreFields& set(const std::string& name, const Value& value) {
    fields_[name] = firestore_value(value);
    return *this;
  }

  /// Each is nothing if there is no such field or if it is of another type.
  std::optional<std::string> string(const std::string& name) const;
  std::optional<std::int64_t> integer(const std::string& name) const;
  std::optional<FirestoreTime> timestamp(const std::string& name) const;

  std::vector<std::string> names() const;
  const nlohmann::json& values() const { return fields_; }
  /// True if every field of `part` is here with the same value.
  bool contain(const FirestoreFields& part) const;

 private:
  const nlohmann::json* find(const std::string& name, const char* type) const;

  nlohmann::json fields_ = nlohmann::json::object();
};

/// A document as it was read.
struct FirestoreDocument {
  std::string path;  ///< below the database's root, such as "sessions/abc"
  FirestoreFields fields;
  std::string update_time;  ///< when it was last changed, as the server writes it
};

/// A change of one document. Paths are "collection/id"; ids must come from a trusted place.
class FirestoreWrite {
 public:
  /// Sets these fields and leaves others alone; makes the document if there is none.
  static FirestoreWrite set(std::string path, FirestoreFields fields);
  /// Makes the document; refused with ALREADY_EXISTS if there is one.
  static FirestoreWrite create(std::string path, FirestoreFields fields);
  /// Sets these fields and leaves others alone; refused with NOT_FOUND if there is no document.
  static FirestoreWrite update(std::string path, FirestoreFields fields);
  /// Deletes the document if there is one.
  static FirestoreWrite remove(std::string path);

  /// Changes nothing: for a condition alone.
  static FirestoreWrite verify(std::string path);

  /// The same, but refused with FAILED_PRECONDITION or ALREADY_EXISTS if the document is no longer
  /// as it was read; nothing stands for one that was not there. Throws std::logic_error if what was
  /// read rules out this write.
  FirestoreWrite if_unchanged(const std::optional<FirestoreDocument>& read) &&;

  const std::string& path() const { return path_; }
  /// True if `document` is as this write leaves it.
  bool is_visible_in(const std::optional<FirestoreDocument>& document) const;
  /// `documents` is the name under which the API knows the database's root.
  nlohmann::json to_json(std::string_view documents) const;

 private:
  enum class Kind { kUpdate, kDelete, kVerify };

  FirestoreWrite(Kind kind, std::string path, FirestoreFields fields = {})
      : kind_{kind}, path_{std::move(path)}, fields_{std::move(fields)} {}

  Kind kind_;
  std::string path_;
  FirestoreFields fields_;
  nlohmann::json precondition_ = nlohmann::json::object();
};

/// Which documents of a collection to find.
struct FirestoreQuery {
  enum class Comparison { kEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

  std::string collection;
  std::string field;
  Comparison comparison = Comparison::kEqual;
  nlohmann::json value;       ///< made by firestore_value()
  std::string order_by;       ///< a field, ascending; empty: by document id
  std::int32_t limit = 1000;  ///< at least 1
  std::int32_t offset = 0;    ///< how many to pass over before

  nlohmann::json to_json() const;
};

}  // namespace sessions

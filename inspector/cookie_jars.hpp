// Who came by, and which cookies they hold.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sessions::inspector {

/// Microseconds since 1970.
using Time = std::int64_t;
Time now();

using CookiePair = std::pair<std::string, std::string>;  ///< name and value

/// The cookies of a `Cookie` header, in their order.
std::vector<CookiePair> cookies_in(std::string_view header);

struct JarCookie {
  std::string value;
  std::string attributes;       ///< as the answer that set it wrote them; empty if none did
  std::optional<Time> expires;  ///< by Max-Age or Expires
  Time changed = 0;
};

/// What one visitor holds.
struct Jar {
  std::uint64_t id = 0;
  std::uint64_t version = 0;
  std::string user_agent;
  std::map<std::string, JarCookie> cookies;
  std::deque<CookiePair> past;  ///< what it held before, the newest first
  Time last_seen = 0;
  std::uint64_t requests = 0;
  std::string deleted;  ///< the cookie that an answer has deleted, if none has set one since
};

/// The jars. Nothing on the wire says which visitor sent a request, so this goes by what it can
/// see: a connection belongs to one visitor, and so does a cookie that it presents together with
/// the same User-Agent. Visitors of one User-Agent without cookies cannot be told apart; they share
/// a jar until one of them gets a cookie.
class CookieJars {
 public:
  /// Requests of the attack bench bear this User-Agent and share one jar.
  static constexpr std::string_view kBench = "attack bench";
  static constexpr std::size_t kMaxJars = 100;

  /// The jar of the visitor who sent this request; it is made to hold what the request shows.
  /// `shows_all` is false if a browser may have held cookies back, as it does across sites.
  Jar& seen(std::uint64_t connection, const std::string& user_agent,
            const std::vector<CookiePair>& cookies, bool shows_all);
  /// The answer's Set-Cookie headers have reached the jar. Returns nothing if it is gone.
  Jar* answered(std::uint64_t connection, std::uint64_t jar,
                const std::vector<std::string>& set_cookie);
  void closed(std::uint64_t connection) { connections_.erase(connection); }

  Jar* find(std::uint64_t id);
  const std::list<Jar>& all() const { return jars_; }

 private:
  struct Binding {
    std::uint64_t jar;
    bool is_certain;  ///< it has presented or got a cookie of the jar's
  };

  Jar& jar_of(std::uint64_t connection, const std::string& user_agent,
              const std::vector<CookiePair>& cookies);
  Jar& new_jar(const std::string& user_agent);

  std::uint64_t last_id_ = 0;
  std::list<Jar> jars_;
  std::map<std::uint64_t, Binding> connections_;
};

}  // namespace sessions::inspector

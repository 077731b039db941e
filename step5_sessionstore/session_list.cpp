#include "session_list.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "pages.hpp"

namespace sessions {

std::string session_list(std::string_view username, SessionList list, const SessionToken& current) {
  std::ranges::sort(list.newest, {}, [](const SessionSummary& session) {
    return std::pair{session.created, session.token.text()};
  });
  std::string items;
  for (const auto& [token, created, last_seen] : list.newest) {
    items += fmt::format("<li>Created {:%F %T} UTC, last seen {:%F %T} UTC{}</li>\n",
                         fmt::gmtime(created), fmt::gmtime(last_seen),
                         token == current ? " (this one)" : "");
  }
  return fmt::format(
      R"(Sessions of {}: {}{}
<ul>
{}</ul>
<form method="post" action="/logout-everywhere">
<p><input type="submit" value="Log out everywhere"></p>
</form>
<p><a href="/">Back</a></p>)",
      escape(username), list.count,
      list.count > list.newest.size() ? fmt::format(", the newest {}:", list.newest.size()) : "",
      items);
}

}  // namespace sessions

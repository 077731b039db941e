#include "session_list.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "pages.hpp"

namespace sessions {

std::string session_list(std::string_view username, std::vector<SessionSummary> list,
                         const SessionToken& current) {
  std::ranges::sort(list, {}, &SessionSummary::created);
  std::string items;
  for (const auto& [token, created, last_seen] : list) {
    items += fmt::format("<li>Created {:%F %T} UTC, last seen {:%F %T} UTC{}</li>\n",
                         fmt::gmtime(created), fmt::gmtime(last_seen),
                         token == current ? " (this one)" : "");
  }
  return fmt::format(R"(Sessions of {}
<ul>
{}</ul>
<form method="post" action="/logout-everywhere">
<p><input type="submit" value="Log out everywhere"></p>
</form>
<p><a href="/">Back</a></p>)",
                     escape(username), items);
}

}  // namespace sessions

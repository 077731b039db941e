// Step 4's only page as a visitor sees it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "http_client.hpp"
#include "wait_until.hpp"

namespace sessions::test {

inline constexpr std::array kGreetings{"Hello World", "Hallo Welt", "Ciao Mondo", "Salut le Monde",
                                       "Hola Mundo"};
/// A pattern that the ids of sessions match.
inline constexpr auto kUuid = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

/// In this time a visitor is told that Firestore fails. Five seconds are the program's own, the
/// rest is for a busy machine.
inline constexpr milliseconds kInTime = seconds{9} * kSlowdown;

/// What a page says.
struct Visit {
  std::int64_t views = 0;
  std::string greeting;  ///< as in the page, not unescaped
  std::string id;        ///< that the cookie was set to
};

/// Throws std::runtime_error if the answer is no greeting.
Visit read_visit(const Response& response);

/// Visits the server at `url` with the session `id`, or without one.
Visit visit(const std::string& url, const std::string& id = {});

/// Values of the cookie that name no session, and what attackers put there.
std::vector<std::string> hostile_ids();

}  // namespace sessions::test

// Which store keeps the sessions.
#pragma once

#include <memory>
#include <vector>

#include "event_loop.hpp"
#include "session_store.hpp"
#include "settings.hpp"

namespace sessions {

inline constexpr EnvironmentVariable kSessionStore{
    "SESSION_STORE",
    "memory:", "memory:, a Redis URL (redis://, rediss://, unix://) or firestore:"};
inline constexpr EnvironmentVariable kSessionTtl{"SESSION_TTL", "10", "idle timeout in seconds"};
inline constexpr EnvironmentVariable kSessionMaxAge{"SESSION_MAX_AGE", "43200",
                                                    "absolute lifetime in seconds"};
inline constexpr EnvironmentVariable kSessionMaxPerUser{
    "SESSION_MAX_PER_USER", "1000", "sessions of a user; one more login ends the oldest"};

/// The settings above and those of the stores.
std::vector<EnvironmentVariable> session_store_variables();

/// The store that SESSION_STORE names. Throws SettingError if it names none, if a setting that this
/// store needs is missing, or unless SESSION_TTL, SESSION_MAX_AGE and SESSION_MAX_PER_USER are
/// whole numbers from 1, the last one to 10,000.
std::unique_ptr<SessionStore> make_session_store(const Settings& settings, EventLoop& event_loop);

/// For --check: prints PONG, or what is wrong and what to try, and returns the exit code 0 or 1.
int check_session_store(EventLoop& event_loop, SessionStore& store);

/// Logs what has to be known of the store at the start: that memory forgets, or that the store that
/// SESSION_STORE names cannot be reached.
void warn_about_store(const Settings& settings, EventLoop& event_loop, SessionStore& store);

}  // namespace sessions

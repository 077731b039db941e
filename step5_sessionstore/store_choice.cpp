#include "store_choice.hpp"

#include <spdlog/spdlog.h>

#include <string>
#include <string_view>
#include <utility>

#include "errors.hpp"
#include "firestore_session_store.hpp"
#include "google_credentials.hpp"
#include "memory_session_store.hpp"
#include "redis_session_store.hpp"
#include "signed_cookie.hpp"
#include "store_check.hpp"

namespace sessions {
namespace {

constexpr std::string_view kMemory = "memory:";
constexpr std::int64_t kMaxPerUser = 10'000;  // for every login of such a user looks at all of them

}  // namespace

std::vector<EnvironmentVariable> session_store_variables() {
  return {kSessionStore,
          kSessionTtl,
          kSessionMaxAge,
          kSessionMaxPerUser,
          kFirestoreEmulatorHost,
          kGoogleCloudProject,
          kGoogleApplicationCredentials,
          kGceMetadataHost};
}

std::unique_ptr<SessionStore> make_session_store(const Settings& settings, EventLoop& event_loop) {
  const SessionLimits limits{.idle = std::chrono::seconds{settings.whole_number(kSessionTtl, 1)},
                             .absolute = std::chrono::seconds{settings.whole_number(
                                 kSessionMaxAge, 1, kTokenLifetime.count())},
                             .per_user = settings.whole_number(kSessionMaxPerUser, 1, kMaxPerUser)};
  auto keys = signing_keys(settings);
  const auto& choice = settings[kSessionStore];
  if (choice == kMemory) {
    return std::make_unique<MemorySessionStore>(std::move(keys), limits);
  }
  if (choice == "firestore:") {
    return std::make_unique<FirestoreSessionStore>(event_loop, settings, std::move(keys), limits);
  }
  if (choice.starts_with("redis:") || choice.starts_with("rediss:") ||
      choice.starts_with("unix:")) {
    return std::make_unique<RedisSessionStore>(
        event_loop, RedisUrl::parse(kSessionStore.name, choice), std::move(keys), limits);
  }
  throw SettingError{kSessionStore.name, "must be memory:, a Redis URL or firestore:"};
}

int check_session_store(EventLoop& event_loop, SessionStore& store) {
  return check_store(event_loop, store.ping(),
                     "Is it running, and does SESSION_STORE name it? --help lists the settings.");
}

void warn_about_store(const Settings& settings, EventLoop& event_loop, SessionStore& store) {
  if (settings[kSessionStore] == kMemory) {
    spdlog::warn("{}={} is for one process, and forgets all sessions when it ends.",
                 kSessionStore.name, kMemory);
  }
  warn_if_unreachable(event_loop, store.ping(), kSessionStore.name);
}

}  // namespace sessions

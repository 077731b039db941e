// Access tokens for Google's APIs: Application Default Credentials
// (https://cloud.google.com/docs/authentication/application-default-credentials).
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "event_loop.hpp"
#include "http_transport.hpp"
#include "keyed_lock.hpp"
#include "settings.hpp"

namespace sessions {

inline constexpr EnvironmentVariable kGoogleApplicationCredentials{
    "GOOGLE_APPLICATION_CREDENTIALS", "", "path of a service-account key or of gcloud's own file"};
inline constexpr EnvironmentVariable kGceMetadataHost{
    "GCE_METADATA_HOST", "169.254.169.254", "host[:port] of the metadata server on Google Cloud"};

/// What this program can prove to be. Those that are made by default are for the emulator.
struct GoogleCredentials {
  /// Makes the request whose answer is an access token; its deadline is set later.
  std::function<HttpTransportRequest()> token_request;
  std::string project = {};        ///< they belong to it; empty if they do not name one
  std::string quota_project = {};  ///< is charged for the calls; empty: the project that is called
};

/// Those of a file. With a service account's key, an assertion is signed and exchanged for a token
/// (RFC 7523, https://developers.google.com/identity/protocols/oauth2/service-account). What
/// `gcloud auth application-default login` leaves is a refresh token (RFC 6749, section 6). Throws
/// nlohmann::json::exception if the file is incomplete, std::runtime_error for any other fault.
GoogleCredentials credentials_of(const nlohmann::json& file);

/// Those of the machine, from the server that every machine on Google Cloud can ask
/// (https://cloud.google.com/compute/docs/metadata/overview). `host` may have a port.
GoogleCredentials metadata_server(const std::string& host);

/// Searches in the order that Google prescribes: the file that GOOGLE_APPLICATION_CREDENTIALS
/// names, gcloud's well-known file, the metadata server. Nothing if none of them is there. Throws
/// SettingError if a file cannot be used.
std::optional<GoogleCredentials> find_default_credentials(EventLoop& event_loop,
                                                          const Settings& settings);

/// Keeps the last token until a minute before it expires. However many ask, one of them fetches
/// the next one and the others wait for it. While that fails, a token in its last minute will do.
/// Used on the event loop. Tokens are secrets: they are never logged.
class TokenCache {
 public:
  TokenCache(asio::io_context& event_loop, HttpTransport& http, GoogleCredentials credentials)
      : fetching_{event_loop}, http_{http}, credentials_{std::move(credentials)} {}

  /// Throws ServiceUnavailable if whoever issues tokens cannot be reached, std::runtime_error if
  /// they refuse.
  asio::awaitable<std::string> token(Deadline deadline);
  /// Fetches another one next time, unless that has happened meanwhile.
  void reject(const std::string& token);

 private:
  asio::awaitable<void> fetch(Deadline deadline);

  KeyedLock fetching_;
  HttpTransport& http_;
  GoogleCredentials credentials_;
  std::string token_;
  Deadline expires_;
  Deadline renew_at_;  ///< from then on the next token is fetched
};

}  // namespace sessions

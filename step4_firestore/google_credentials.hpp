// Access tokens for Google's APIs: Application Default Credentials
// (https://cloud.google.com/docs/authentication/application-default-credentials).
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "http_transport.hpp"
#include "keyed_lock.hpp"
#include "settings.hpp"

namespace sessions {

inline constexpr EnvironmentVariable kGoogleApplicationCredentials{
    "GOOGLE_APPLICATION_CREDENTIALS", "", "path of a service-account key or of gcloud's own file"};
inline constexpr EnvironmentVariable kGceMetadataHost{
    "GCE_METADATA_HOST", "169.254.169.254", "host[:port] of the metadata server on Google Cloud"};

/// A secret: never logged.
struct AccessToken {
  std::string value;
  std::chrono::steady_clock::time_point expires;
  std::string quota_project;  ///< is charged for the calls; empty: the project that is called
};

/// Where access tokens come from. Used on the event loop.
class TokenSource {
 public:
  TokenSource() = default;
  virtual ~TokenSource() = default;
  TokenSource(const TokenSource&) = delete;
  TokenSource& operator=(const TokenSource&) = delete;

  /// Throws ServiceUnavailable if the source cannot be reached, std::runtime_error if it refuses.
  virtual asio::awaitable<AccessToken> fetch(HttpTransport& http, Deadline deadline) const = 0;
};

/// The word that makes the emulator skip all access rules.
class EmulatorOwner : public TokenSource {
 public:
  asio::awaitable<AccessToken> fetch(HttpTransport& http, Deadline deadline) const override;
};

/// A service account's key: a signed assertion is exchanged for a token
/// (RFC 7523, https://developers.google.com/identity/protocols/oauth2/service-account).
class ServiceAccount : public TokenSource {
 public:
  /// Throws std::runtime_error if the key cannot sign.
  ServiceAccount(std::string email, std::string key_id, std::string private_key,
                 std::string token_uri);

  asio::awaitable<AccessToken> fetch(HttpTransport& http, Deadline deadline) const override;

 private:
  std::string assertion() const;

  std::string email_;
  std::string key_id_;
  std::string private_key_;
  std::string token_uri_;
};

/// What `gcloud auth application-default login` leaves: a refresh token (RFC 6749, section 6).
class AuthorizedUser : public TokenSource {
 public:
  AuthorizedUser(std::string client_id, std::string client_secret, std::string refresh_token,
                 std::string token_uri, std::string quota_project);

  asio::awaitable<AccessToken> fetch(HttpTransport& http, Deadline deadline) const override;

 private:
  std::string client_id_;
  std::string client_secret_;
  std::string refresh_token_;
  std::string token_uri_;
  std::string quota_project_;
};

/// The server that every machine on Google Cloud can ask
/// (https://cloud.google.com/compute/docs/metadata/overview).
class MetadataServer : public TokenSource {
 public:
  /// `host` is a name or an address, with or without a port.
  explicit MetadataServer(std::string host);

  asio::awaitable<AccessToken> fetch(HttpTransport& http, Deadline deadline) const override;
  /// The project that the machine belongs to. Throws as fetch() does.
  asio::awaitable<std::string> project(HttpTransport& http, Deadline deadline) const;

 private:
  std::string address_;
};

/// Keeps the last token until a minute before it expires. However many ask, one of them fetches
/// the next one and the others wait for it. While that fails, a token in its last minute will do.
class TokenCache {
 public:
  TokenCache(asio::io_context& event_loop, std::shared_ptr<const TokenSource> source)
      : fetching_{event_loop}, source_{std::move(source)} {}

  /// Throws as TokenSource::fetch() does.
  asio::awaitable<AccessToken> token(HttpTransport& http, Deadline deadline);
  /// Fetches another one next time, unless that has happened meanwhile.
  void reject(const std::string& token);

 private:
  KeyedLock fetching_;
  std::shared_ptr<const TokenSource> source_;
  AccessToken token_;
  Deadline renew_at_;  ///< from then on the next token is fetched
};

/// What the search for Application Default Credentials found.
struct DefaultCredentials {
  std::shared_ptr<const TokenSource> source;
  std::string project;  ///< empty if the credentials do not name one
};

/// Searches in the order that Google prescribes: the file that GOOGLE_APPLICATION_CREDENTIALS
/// names, gcloud's well-known file, the metadata server. Nothing if none of them is there. Throws
/// SettingError if a file cannot be used.
asio::awaitable<std::optional<DefaultCredentials>> find_default_credentials(
    const Settings& settings, HttpTransport& http);

}  // namespace sessions

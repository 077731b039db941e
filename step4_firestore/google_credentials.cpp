#include "google_credentials.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <jwt/jwt.hpp>
#include <nlohmann/json.hpp>
#include <utility>

#include "errors.hpp"

namespace sessions {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::string_view kTokenUri = "https://oauth2.googleapis.com/token";
constexpr std::string_view kScope = "https://www.googleapis.com/auth/datastore";
constexpr seconds kAssertionLifetime{3600};
constexpr seconds kRenewBeforeExpiry{60};
constexpr seconds kPatience{1};  // with whoever issues tokens, while the old one still counts
constexpr seconds kPauseAfterFailure{5};
constexpr seconds kMetadataTime{2};

struct CurlFree {
  void operator()(char* text) const { curl_free(text); }
};

std::string form(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  std::string encoded;
  for (const auto& [name, value] : fields) {
    const std::unique_ptr<char, CurlFree> escaped{
        curl_easy_escape(nullptr, value.data(), static_cast<int>(value.size()))};
    encoded += fmt::format("{}{}={}", encoded.empty() ? "" : "&", name, escaped.get());
  }
  return encoded;
}

/// Sends a request to whoever issues tokens and returns the body of its answer.
asio::awaitable<std::string> ask(HttpTransport& http, HttpTransportRequest request) {
  const auto url = request.url;
  std::string failure;
  try {
    auto response = co_await http.send(std::move(request));
    if (response.status == 200) {
      co_return std::move(response.body);
    }
    // The body of an error holds no secret, but whether that is true of every server is unknown.
    failure = fmt::format("{} answered {} to the request for credentials", url, response.status);
    if (response.status < 500 && response.status != 429) {
      throw std::runtime_error{failure};
    }
  } catch (const HttpTransportError& error) {
    failure = fmt::format("{}: {}", url, error.what());
  }
  throw ServiceUnavailable{failure};
}

AccessToken parse_token(const std::string& answer) {
  try {
    const auto token = json::parse(answer);
    return {token.at("access_token").get<std::string>(),
            steady_clock::now() + seconds{token.at("expires_in").get<std::int64_t>()},
            {}};
  } catch (const json::exception&) {
    throw ServiceUnavailable{"the answer to the request for an access token is malformed"};
  }
}

asio::awaitable<AccessToken> exchange(HttpTransport& http, std::string token_uri, std::string body,
                                      Deadline deadline) {
  HttpTransportRequest request{.url = std::move(token_uri),
                               .headers = {"Content-Type: application/x-www-form-urlencoded"},
                               .body = std::move(body),
                               .deadline = deadline};
  co_return parse_token(co_await ask(http, std::move(request)));
}

HttpTransportRequest metadata_request(std::string url, Deadline deadline) {
  return {.url = std::move(url),
          .headers = {"Metadata-Flavor: Google"},
          .body = std::nullopt,
          .deadline = deadline};
}

/// The file that `gcloud auth application-default login` writes.
std::filesystem::path well_known_file() {
  constexpr auto kName = "application_default_credentials.json";
  if (const char* config = std::getenv("CLOUDSDK_CONFIG")) {
    return std::filesystem::path{config} / kName;
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path{home == nullptr ? "" : home} / ".config" / "gcloud" / kName;
}

DefaultCredentials read_credentials(const std::filesystem::path& path) {
  const auto fail = [&](std::string_view problem) {
    return SettingError{kGoogleApplicationCredentials.name,
                        fmt::format("{} {}", path.string(), problem)};
  };
  std::ifstream file{path};
  if (!file) {
    throw fail("cannot be read");
  }
  try {
    const auto content = json::parse(file);
    const auto type = content.at("type").get<std::string>();
    const auto token_uri = content.value("token_uri", std::string{kTokenUri});
    if (type == "service_account") {
      return {
          std::make_shared<ServiceAccount>(content.at("client_email").get<std::string>(),
                                           content.value("private_key_id", ""),
                                           content.at("private_key").get<std::string>(), token_uri),
          content.value("project_id", "")};
    }
    if (type == "authorized_user") {
      const auto quota_project = content.value("quota_project_id", "");
      return {std::make_shared<AuthorizedUser>(content.at("client_id").get<std::string>(),
                                               content.at("client_secret").get<std::string>(),
                                               content.at("refresh_token").get<std::string>(),
                                               token_uri, quota_project),
              quota_project};
    }
    throw fail("is neither a service account's key nor gcloud's file for an authorized user");
  } catch (const SettingError&) {
    throw;
  } catch (const json::exception&) {
    throw fail("is not a complete JSON file with credentials");
  } catch (const std::exception& error) {
    throw fail(error.what());
  }
}

}  // namespace

asio::awaitable<AccessToken> EmulatorOwner::fetch(HttpTransport& /*http*/,
                                                  Deadline /*deadline*/) const {
  co_return AccessToken{"owner", steady_clock::time_point::max(), {}};
}

ServiceAccount::ServiceAccount(std::string email, std::string key_id, std::string private_key,
                               std::string token_uri)
    : email_{std::move(email)},
      key_id_{std::move(key_id)},
      private_key_{std::move(private_key)},
      token_uri_{std::move(token_uri)} {
  assertion();
}

asio::awaitable<AccessToken> ServiceAccount::fetch(HttpTransport& http, Deadline deadline) const {
  auto body = form(
      {{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"}, {"assertion", assertion()}});
  co_return co_await exchange(http, token_uri_, std::move(body), deadline);
}

std::string ServiceAccount::assertion() const {
  using namespace jwt::params;
  const auto now =
      std::chrono::duration_cast<seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  jwt::jwt_object token{algorithm("RS256"), secret(private_key_)};
  if (!key_id_.empty()) {
    token.header().add_header("kid", key_id_);
  }
  token.add_claim("iss", email_)
      .add_claim("scope", std::string{kScope})
      .add_claim("aud", token_uri_)
      .add_claim("iat", now)
      .add_claim("exp", now + kAssertionLifetime.count());
  std::error_code error;
  auto signed_token = token.signature(error);
  if (error) {
    throw std::runtime_error{"holds a private key that cannot sign: " + error.message()};
  }
  return signed_token;
}

AuthorizedUser::AuthorizedUser(std::string client_id, std::string client_secret,
                               std::string refresh_token, std::string token_uri,
                               std::string quota_project)
    : client_id_{std::move(client_id)},
      client_secret_{std::move(client_secret)},
      refresh_token_{std::move(refresh_token)},
      token_uri_{std::move(token_uri)},
      quota_project_{std::move(quota_project)} {}

asio::awaitable<AccessToken> AuthorizedUser::fetch(HttpTransport& http, Deadline deadline) const {
  auto body = form({{"grant_type", "refresh_token"},
                    {"client_id", client_id_},
                    {"client_secret", client_secret_},
                    {"refresh_token", refresh_token_}});
  auto token = co_await exchange(http, token_uri_, std::move(body), deadline);
  token.quota_project = quota_project_;
  co_return token;
}

MetadataServer::MetadataServer(std::string host)
    : address_{"http://" + std::move(host) + "/computeMetadata/v1/"} {}

asio::awaitable<AccessToken> MetadataServer::fetch(HttpTransport& http, Deadline deadline) const {
  auto request = metadata_request(address_ + "instance/service-accounts/default/token", deadline);
  co_return parse_token(co_await ask(http, std::move(request)));
}

asio::awaitable<std::string> MetadataServer::project(HttpTransport& http, Deadline deadline) const {
  auto request = metadata_request(address_ + "project/project-id", deadline);
  co_return co_await ask(http, std::move(request));
}

asio::awaitable<AccessToken> TokenCache::token(HttpTransport& http, Deadline deadline) {
  if (steady_clock::now() < renew_at_) {
    co_return token_;
  }
  const bool still_counts = steady_clock::now() < token_.expires;
  const auto patience =
      still_counts ? std::min(deadline, steady_clock::now() + kPatience) : deadline;
  const auto guard = co_await fetching_.acquire("", patience);
  if (guard && steady_clock::now() >= renew_at_) {
    try {
      token_ = co_await source_->fetch(http, patience);
      renew_at_ = token_.expires - kRenewBeforeExpiry;
    } catch (const ServiceUnavailable&) {
      if (!still_counts) {
        throw;
      }
      renew_at_ = steady_clock::now() + kPauseAfterFailure;
    }
  } else if (!guard && !still_counts) {
    throw ServiceUnavailable{"no access token before the deadline"};
  }
  co_return token_;
}

void TokenCache::reject(const std::string& token) {
  if (token_.value == token) {
    token_ = {};
    renew_at_ = {};
  }
}

asio::awaitable<std::optional<DefaultCredentials>> find_default_credentials(
    const Settings& settings, HttpTransport& http) {
  if (const auto& path = settings[kGoogleApplicationCredentials]; !path.empty()) {
    co_return read_credentials(path);
  }
  if (const auto path = well_known_file(); std::filesystem::exists(path)) {
    co_return read_credentials(path);
  }
  DefaultCredentials machine;
  const auto metadata_server = std::make_shared<MetadataServer>(settings[kGceMetadataHost]);
  try {
    machine.project = co_await metadata_server->project(http, steady_clock::now() + kMetadataTime);
  } catch (const std::exception&) {
    co_return std::nullopt;  // this machine is not in Google's cloud
  }
  machine.source = metadata_server;
  co_return machine;
}

}  // namespace sessions

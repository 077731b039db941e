#include "google_credentials.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <jwt/jwt.hpp>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "errors.hpp"

namespace sessions {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr const char* kTokenUri = "https://oauth2.googleapis.com/token";
constexpr const char* kScope = "https://www.googleapis.com/auth/datastore";
constexpr int kAssertionSeconds = 3600;
constexpr seconds kRenewBeforeExpiry{60};
constexpr seconds kPatience{1};  // with whoever issues tokens, while the old one still counts
constexpr seconds kPauseAfterFailure{5};
constexpr seconds kMetadataTime{2};

HttpTransportRequest post_form(
    std::string url, std::initializer_list<std::pair<std::string_view, std::string>> fields) {
  std::string form;
  for (const auto& [name, value] : fields) {
    const std::unique_ptr<char, decltype(&curl_free)> escaped{
        curl_easy_escape(nullptr, value.data(), static_cast<int>(value.size())), curl_free};
    form += fmt::format("{}{}={}", form.empty() ? "" : "&", name, escaped.get());
  }
  return {.url = std::move(url),
          .headers = {"Content-Type: application/x-www-form-urlencoded"},
          .body = std::move(form)};
}

HttpTransportRequest metadata_request(const std::string& host, std::string_view path) {
  return {.url = fmt::format("http://{}/computeMetadata/v1/{}", host, path),
          .headers = {"Metadata-Flavor: Google"}};
}

/// Sends a request to whoever issues tokens and returns the body of its answer.
asio::awaitable<std::string> ask(HttpTransport& http, HttpTransportRequest request,
                                 Deadline deadline) {
  const auto url = request.url;
  request.deadline = deadline;
  auto response = co_await http.send(std::move(request));
  if (response.status == 200) {
    co_return std::move(response.body);
  }
  // The body of an error holds no secret, but whether that is true of every server is unknown.
  const auto failure =
      fmt::format("{} answered {} to the request for credentials", url, response.status);
  if (response.status < 500 && response.status != 429) {
    throw std::runtime_error{failure};
  }
  throw ServiceUnavailable{failure};
}

std::string assertion(const json& key, const std::string& token_uri) {
  using namespace jwt::params;
  const auto now = std::time(nullptr);
  jwt::jwt_object token{algorithm("RS256"), secret(key.at("private_key").get<std::string>())};
  if (const auto id = key.value("private_key_id", ""); !id.empty()) {
    token.header().add_header("kid", id);
  }
  token.add_claim("iss", key.at("client_email").get<std::string>())
      .add_claim("scope", std::string{kScope})
      .add_claim("aud", token_uri)
      .add_claim("iat", now)
      .add_claim("exp", now + kAssertionSeconds);
  std::error_code error;
  auto signed_token = token.signature(error);
  if (error) {
    throw std::runtime_error{"holds a private key that cannot sign: " + error.message()};
  }
  return signed_token;
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

GoogleCredentials read_credentials(const std::filesystem::path& path) {
  const auto unusable = [&](std::string_view problem) {
    return SettingError{kGoogleApplicationCredentials.name,
                        fmt::format("{} {}", path.string(), problem)};
  };
  std::ifstream file{path};
  if (!file) {
    throw unusable("cannot be read");
  }
  try {
    return credentials_of(json::parse(file));
  } catch (const json::exception&) {
    throw unusable("is not a complete JSON file with credentials");
  } catch (const std::exception& error) {
    throw unusable(error.what());
  }
}

}  // namespace

GoogleCredentials credentials_of(const json& file) {
  const auto field = [&](const char* name) { return file.at(name).get<std::string>(); };
  const auto token_uri = file.value("token_uri", kTokenUri);
  const auto type = field("type");
  if (type == "service_account") {
    assertion(file, token_uri);  // shows now whether the key can sign
    const auto request = [file, token_uri] {
      return post_form(token_uri, {{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"},
                                   {"assertion", assertion(file, token_uri)}});
    };
    return {request, file.value("project_id", "")};
  }
  if (type == "authorized_user") {
    auto request = post_form(token_uri, {{"grant_type", "refresh_token"},
                                         {"client_id", field("client_id")},
                                         {"client_secret", field("client_secret")},
                                         {"refresh_token", field("refresh_token")}});
    const auto quota_project = file.value("quota_project_id", "");
    return {[request] { return request; }, quota_project, quota_project};
  }
  throw std::runtime_error{
      "is neither a service account's key nor gcloud's file for an authorized user"};
}

GoogleCredentials metadata_server(const std::string& host) {
  return {[host] { return metadata_request(host, "instance/service-accounts/default/token"); }};
}

std::optional<GoogleCredentials> find_default_credentials(EventLoop& event_loop,
                                                          const Settings& settings) {
  if (const auto& path = settings[kGoogleApplicationCredentials]; !path.empty()) {
    return read_credentials(path);
  }
  if (const auto path = well_known_file(); std::filesystem::exists(path)) {
    return read_credentials(path);
  }
  const auto& host = settings[kGceMetadataHost];
  auto credentials = metadata_server(host);
  HttpTransport http{event_loop.context()};
  try {
    credentials.project = event_loop.wait_for(ask(
        http, metadata_request(host, "project/project-id"), steady_clock::now() + kMetadataTime));
  } catch (const std::exception&) {
    return std::nullopt;  // this machine is not in Google's cloud
  }
  return credentials;
}

asio::awaitable<std::string> TokenCache::token(Deadline deadline) {
  if (!credentials_.token_request) {
    co_return "owner";  // makes the emulator skip all access rules
  }
  if (steady_clock::now() < renew_at_) {
    co_return token_;
  }
  const bool still_counts = steady_clock::now() < expires_;
  const auto patience =
      still_counts ? std::min(deadline, steady_clock::now() + kPatience) : deadline;
  try {
    const auto turn = co_await fetching_.acquire("", patience);
    if (!turn) {
      throw ServiceUnavailable{"no access token before the deadline"};
    }
    if (steady_clock::now() >= renew_at_) {
      co_await fetch(patience);
    }
  } catch (const ServiceUnavailable&) {
    if (!still_counts) {
      throw;
    }
    renew_at_ = steady_clock::now() + kPauseAfterFailure;
  }
  co_return token_;
}

asio::awaitable<void> TokenCache::fetch(Deadline deadline) {
  auto request = credentials_.token_request();
  const auto answer = co_await ask(http_, std::move(request), deadline);
  try {
    const auto token = json::parse(answer);
    const seconds lifetime{token.at("expires_in").get<std::int64_t>()};
    token_ = token.at("access_token").get<std::string>();
    expires_ = steady_clock::now() + lifetime;
    renew_at_ = expires_ - kRenewBeforeExpiry;
  } catch (const json::exception&) {
    throw ServiceUnavailable{"the answer to the request for an access token is malformed"};
  }
}

void TokenCache::reject(const std::string& token) {
  if (token_ == token) {
    expires_ = renew_at_ = Deadline{};
  }
}

}  // namespace sessions

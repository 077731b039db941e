// How the Firestore client gets in on Google's own service.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <asio/co_spawn.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/use_future.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <jwt/jwt.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "client_fixture.hpp"
#include "errors.hpp"
#include "google_credentials.hpp"
#include "http_stand_in.hpp"

namespace sessions::test {
namespace {

using nlohmann::json;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

/// A token server that hands out token-1, token-2, ...
class TokenStandIn {
 public:
  explicit TokenStandIn(int lifetime_seconds = 3600)
      : server_{[this, lifetime_seconds](const StandInRequest& request) {
          return answer(request, lifetime_seconds);
        }} {}

  std::string host() const { return server_.host(); }
  std::string token_uri() const { return server_.url() + "/token"; }
  std::vector<StandInRequest> requests() const {
    const std::lock_guard lock{mutex_};
    return requests_;
  }
  /// From here on, requests are answered with this HTTP status.
  void refuse(int status) {
    const std::lock_guard lock{mutex_};
    refusal_ = status;
  }

 private:
  StandInAnswer answer(const StandInRequest& request, int lifetime_seconds) {
    const std::lock_guard lock{mutex_};
    if (request.path == "/computeMetadata/v1/project/project-id") {
      return {200, "project-of-the-machine", StandInAnswer::Ending::kComplete};
    }
    requests_.push_back(request);
    if (refusal_ != 0) {
      return {refusal_, R"({"error": "invalid_grant"})", StandInAnswer::Ending::kComplete};
    }
    const json token{{"access_token", "token-" + std::to_string(requests_.size())},
                     {"expires_in", lifetime_seconds},
                     {"token_type", "Bearer"}};
    return {200, token.dump(), StandInAnswer::Ending::kComplete};
  }

  mutable std::mutex mutex_;
  int refusal_ = 0;
  std::vector<StandInRequest> requests_;
  HttpStandIn server_;
};

json authorized_user_file(const std::string& token_uri) {
  return {{"type", "authorized_user"},
          {"client_id", "id"},
          {"client_secret", "secret/+&"},
          {"refresh_token", "1//refresh"},
          {"quota_project_id", "project-of-the-user"},
          {"token_uri", token_uri}};
}

/// A client that gets in as on Google's own service.
class Step4Credentials : public Step4Client {
 protected:
  void use(GoogleCredentials credentials) {
    client_.emplace(event_loop_,
                    FirestoreDatabase{proxy_->url(), project_->id(), std::move(credentials)});
  }

  std::vector<std::string> tokens_seen() const {
    auto tokens = proxy_->headers("Authorization");
    for (auto& token : tokens) {
      token.erase(0, std::string_view{"Bearer "}.size());
    }
    return tokens;
  }

  void get_in_parallel(int requests) {
    std::vector<std::future<std::optional<FirestoreDocument>>> calls;
    for (int request = 0; request < requests; ++request) {
      calls.push_back(
          asio::co_spawn(event_loop_.context(), client_->get("things/a"), asio::use_future));
    }
    for (auto& call : calls) {
      call.get();
    }
  }
};

TEST_F(Step4Credentials, ATokenIsFetchedOnceForAHundredRequests) {
  TokenStandIn tokens;
  use(metadata_server(tokens.host()));
  get_in_parallel(50);
  for (int repetition = 0; repetition < 50; ++repetition) {
    wait_for(client_->get("things/a"));
  }
  EXPECT_THAT(tokens.requests(), SizeIs(1));
  EXPECT_THAT(tokens_seen(), SizeIs(100));
  EXPECT_THAT(tokens_seen(), Each("token-1"));
}

TEST_F(Step4Credentials, ATokenThatIsAboutToExpireIsReplaced) {
  TokenStandIn tokens{59};
  use(metadata_server(tokens.host()));
  wait_for(client_->get("things/a"));
  wait_for(client_->get("things/a"));
  EXPECT_THAT(tokens_seen(), ElementsAre("token-1", "token-2"));
}

TEST_F(Step4Credentials, ATokenThatIsRefusedIsReplacedOnce) {
  TokenStandIn tokens;
  use(metadata_server(tokens.host()));
  proxy_->fail("batchGet", 1, Fault::refuse(401, "UNAUTHENTICATED"));
  EXPECT_FALSE(wait_for(client_->get("things/a")));
  EXPECT_THAT(tokens_seen(), ElementsAre("token-1", "token-2"));
  proxy_->fail("batchGet", 1, Fault::refuse(401, "UNAUTHENTICATED"), 2);
  EXPECT_EQ(refusal([&] { wait_for(client_->get("things/a")); }), "UNAUTHENTICATED");
  EXPECT_THAT(tokens_seen(), ElementsAre("token-1", "token-2", "token-2", "token-3"));
}

TEST_F(Step4Credentials, RequestsWhoseTokenIsRefusedTogetherFetchOneNewToken) {
  constexpr int kRequests = 10;
  TokenStandIn tokens;
  use(metadata_server(tokens.host()));
  wait_for(client_->get("things/a"));
  const auto refusal = Fault::refuse(401, "UNAUTHENTICATED");
  proxy_->fail("batchGet", 1,
               Fault{false,
                     [&](StandInAnswer answer) {
                       wait_until([&] { return proxy_->calls("batchGet").size() > kRequests; });
                       return refusal.change(std::move(answer));
                     }},
               kRequests);
  get_in_parallel(kRequests);
  EXPECT_THAT(tokens.requests(), SizeIs(2));
}

TEST_F(Step4Credentials, TheMetadataServerIsAskedAsGoogleAsksForIt) {
  TokenStandIn tokens;
  use(metadata_server(tokens.host()));
  wait_for(client_->get("things/a"));
  ASSERT_THAT(tokens.requests(), SizeIs(1));
  EXPECT_EQ(tokens.requests()[0].method, "GET");
  EXPECT_EQ(tokens.requests()[0].path,
            "/computeMetadata/v1/instance/service-accounts/default/token");
  EXPECT_EQ(tokens.requests()[0].header("Metadata-Flavor"), "Google");
}

TEST_F(Step4Credentials, ATokenInItsLastMinuteWillDoWhileTheNextCannotBeHad) {
  TokenStandIn tokens{59};
  use(metadata_server(tokens.host()));
  wait_for(client_->get("things/a"));
  tokens.refuse(503);
  wait_for(client_->get("things/a"));
  wait_for(client_->get("things/a"));
  EXPECT_THAT(tokens_seen(), Each("token-1"));
  EXPECT_THAT(tokens.requests(), SizeIs(2)) << "it is not tried with every call";
}

TEST_F(Step4Credentials, AUsersProjectIsNamedAsTheOneThatPays) {
  TokenStandIn tokens;
  auto file = authorized_user_file(tokens.token_uri());
  use(credentials_of(file));
  wait_for(client_->get("things/a"));
  file.erase("quota_project_id");
  use(credentials_of(file));
  wait_for(client_->get("things/a"));
  EXPECT_THAT(proxy_->headers("x-goog-user-project"), ElementsAre("project-of-the-user", ""));
}

TEST_F(Step4Credentials, ATokenServerThatIsDownIs503AndOneThatRefusesIsNot) {
  TokenStandIn tokens;
  use(metadata_server(tokens.host()));
  tokens.refuse(400);
  EXPECT_THAT([&] { wait_for(client_->get("things/a")); },
              testing::ThrowsMessage<std::runtime_error>(HasSubstr("400")));
  EXPECT_THAT(tokens.requests(), SizeIs(1));
  use(metadata_server("127.0.0.1:1"));
  EXPECT_THROW(wait_for(client_->get("things/a")), ServiceUnavailable);
}

TEST_F(Step4Credentials, ATokenServerThatFailsForTheMomentIs503) {
  TokenStandIn tokens;
  use(metadata_server(tokens.host()));
  for (const int status : {429, 500, 503, 200}) {  // 200 comes without a token
    tokens.refuse(status);
    EXPECT_THROW(wait_for(client_->get("things/a")), ServiceUnavailable) << status;
  }
}

/// An RSA key pair as PEM.
struct KeyPair {
  std::string private_key;
  std::string public_key;
};

std::string content_of(BIO& bio) {
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(&bio, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

KeyPair new_key_pair() {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_RSA_gen(2048), EVP_PKEY_free};
  const std::unique_ptr<BIO, decltype(&BIO_free)> private_part{BIO_new(BIO_s_mem()), BIO_free};
  const std::unique_ptr<BIO, decltype(&BIO_free)> public_part{BIO_new(BIO_s_mem()), BIO_free};
  PEM_write_bio_PrivateKey(private_part.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_PUBKEY(public_part.get(), key.get());
  return {content_of(*private_part), content_of(*public_part)};
}

/// The fields of a form. Enough for forms whose values need no decoding, but for %3A and %2F.
std::map<std::string, std::string> fields_of(const std::string& form) {
  std::map<std::string, std::string> fields;
  std::istringstream stream{form};
  for (std::string field; std::getline(stream, field, '&');) {
    const auto equals = field.find('=');
    int size = 0;
    const std::unique_ptr<char, decltype(&curl_free)> value{
        curl_easy_unescape(nullptr, field.c_str() + equals + 1, 0, &size), curl_free};
    fields[field.substr(0, equals)] = std::string{value.get(), static_cast<std::size_t>(size)};
  }
  return fields;
}

constexpr const char* kWellKnownFile = ".config/gcloud/application_default_credentials.json";

/// Credentials in a file, found as an application would find them.
class Step4DefaultCredentials : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto* name : {"FIRESTORE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG",
                             "GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST"}) {
      ::unsetenv(name);
    }
    set("HOME", folder_.path());
  }

  static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

  std::string file(const std::string& name, const std::string& content) const {
    const auto path = folder_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream{path} << content;
    return path;
  }

  std::optional<GoogleCredentials> find_any() {
    const StepDescription step{.name = "step4_firestore",
                               .summary = {},
                               .variables = {kGoogleApplicationCredentials, kGceMetadataHost}};
    const char* const arguments[] = {"step4_firestore"};
    const Settings settings{step, 1, arguments};
    return find_default_credentials(event_loop_, settings);
  }
  GoogleCredentials find() { return find_any().value(); }

  std::string fetch(const GoogleCredentials& credentials) {
    HttpTransport http{event_loop_.context()};
    TokenCache tokens{event_loop_.context(), http, credentials};
    return event_loop_.wait_for(tokens.token(Clock::now() + seconds{5}));
  }

  TemporaryFolder folder_;
  EventLoop event_loop_;
};

json service_account_file(const std::string& private_key, const std::string& token_uri) {
  return {{"type", "service_account"},
          {"project_id", "project-of-the-key"},
          {"private_key_id", "key-1"},
          {"private_key", private_key},
          {"client_email", "robot@example.iam.gserviceaccount.com"},
          {"token_uri", token_uri}};
}

TEST_F(Step4DefaultCredentials, AServiceAccountSignsAnAssertionThatItsPublicKeyVerifies) {
  TokenStandIn tokens;
  const auto keys = new_key_pair();
  set("GOOGLE_APPLICATION_CREDENTIALS",
      file("key.json", service_account_file(keys.private_key, tokens.token_uri()).dump()));
  const auto credentials = find();
  EXPECT_EQ(credentials.project, "project-of-the-key");
  EXPECT_EQ(fetch(credentials), "token-1");

  ASSERT_THAT(tokens.requests(), SizeIs(1));
  EXPECT_EQ(tokens.requests()[0].method, "POST");
  EXPECT_EQ(tokens.requests()[0].header("Content-Type"), "application/x-www-form-urlencoded");
  const auto form = fields_of(tokens.requests()[0].body);
  EXPECT_EQ(form.at("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
  using namespace jwt::params;
  const auto assertion =
      jwt::decode(form.at("assertion"), algorithms({"RS256"}), secret(keys.public_key));
  const auto claims = assertion.payload().create_json_obj();
  EXPECT_EQ(claims.at("iss"), "robot@example.iam.gserviceaccount.com");
  EXPECT_EQ(claims.at("aud"), tokens.token_uri());
  EXPECT_EQ(claims.at("scope"), "https://www.googleapis.com/auth/datastore");
  EXPECT_EQ(claims.at("exp").get<int>() - claims.at("iat").get<int>(), 3600);
  EXPECT_EQ(assertion.header().create_json_obj().at("kid"), "key-1");
  const auto others = new_key_pair();
  EXPECT_THROW(jwt::decode(form.at("assertion"), algorithms({"RS256"}), secret(others.public_key)),
               std::exception);
}

TEST_F(Step4DefaultCredentials, GcloudsFileIsFoundAtItsPlaceAndItsTokenIsRefreshed) {
  TokenStandIn tokens;
  file(kWellKnownFile, authorized_user_file(tokens.token_uri()).dump());
  const auto credentials = find();
  EXPECT_EQ(credentials.project, "project-of-the-user");
  EXPECT_EQ(fetch(credentials), "token-1");
  const auto form = fields_of(tokens.requests().at(0).body);
  EXPECT_EQ(form.at("grant_type"), "refresh_token");
  EXPECT_EQ(form.at("client_id"), "id");
  EXPECT_EQ(form.at("client_secret"), "secret/+&");
  EXPECT_EQ(form.at("refresh_token"), "1//refresh");
}

TEST_F(Step4DefaultCredentials, GcloudsOtherFolderComesBeforeItsUsualOne) {
  file(kWellKnownFile,
       service_account_file(new_key_pair().private_key, "http://127.0.0.1:1/").dump());
  const auto path = file("other/application_default_credentials.json",
                         authorized_user_file("http://127.0.0.1:1/").dump());
  set("CLOUDSDK_CONFIG", std::filesystem::path{path}.parent_path());
  EXPECT_EQ(find().project, "project-of-the-user");
}

TEST_F(Step4DefaultCredentials, TheFileOfTheSettingComesBeforeGclouds) {
  file(kWellKnownFile, authorized_user_file("http://127.0.0.1:1/").dump());
  set("GOOGLE_APPLICATION_CREDENTIALS",
      file("key.json",
           service_account_file(new_key_pair().private_key, "http://127.0.0.1:1/").dump()));
  EXPECT_EQ(find().project, "project-of-the-key");
}

TEST_F(Step4DefaultCredentials, TheMetadataServerNamesTheProject) {
  TokenStandIn tokens;
  set("GCE_METADATA_HOST", tokens.host());
  const auto credentials = find();
  EXPECT_EQ(credentials.project, "project-of-the-machine");
  EXPECT_EQ(fetch(credentials), "token-1");
}

TEST_F(Step4DefaultCredentials, AMachineOutsideGooglesCloudIsToldSo) {
  // Elsewhere, nobody answers at the metadata server's address.
  const asio::ip::tcp::acceptor silent{event_loop_.context(),
                                       {asio::ip::address_v4::loopback(), 0}};
  set("GCE_METADATA_HOST", "127.0.0.1:" + std::to_string(silent.local_endpoint().port()));
  const auto start = Clock::now();
  EXPECT_FALSE(find_any());
  EXPECT_LT(Clock::now() - start, seconds{5} * kSlowdown);
}

TEST_F(Step4DefaultCredentials, AFileThatCannotBeUsedIsASettingErrorThatNamesIt) {
  const auto keys = new_key_pair();
  auto incomplete = service_account_file(keys.private_key, "http://127.0.0.1:1/");
  incomplete.erase("client_email");
  const std::vector<std::string> contents{
      "",
      "no JSON",
      "[]",
      R"({"type": "external_account"})",
      incomplete.dump(),
      service_account_file("no key", "http://127.0.0.1:1/").dump(),
      service_account_file("", "http://127.0.0.1:1/").dump()};
  for (const auto& content : contents) {
    const auto path = file("broken.json", content);
    set("GOOGLE_APPLICATION_CREDENTIALS", path);
    EXPECT_THAT([&] { find(); }, testing::ThrowsMessage<SettingError>(HasSubstr(path))) << content;
  }
}

TEST_F(Step4DefaultCredentials, AnErrorMessageHoldsNoSecret) {
  TokenStandIn tokens;
  tokens.refuse(400);
  const auto keys = new_key_pair();
  set("GOOGLE_APPLICATION_CREDENTIALS",
      file("key.json", service_account_file(keys.private_key, tokens.token_uri()).dump()));
  const auto credentials = find();
  try {
    fetch(credentials);
    FAIL() << "the token server refuses";
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), HasSubstr("400"));
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("assertion")));
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("PRIVATE KEY")));
  }
}

}  // namespace
}  // namespace sessions::test

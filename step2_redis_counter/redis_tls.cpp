#include "redis_tls.hpp"

#include <fmt/format.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <spdlog/spdlog.h>

#include <stdexcept>

namespace sessions {
namespace {

void require(bool success, const char* what) {
  if (!success) {
    const char* reason = ERR_reason_error_string(ERR_get_error());
    throw std::runtime_error{
        fmt::format("TLS: {}: {}", what, reason != nullptr ? reason : "unknown error")};
  }
}

// OpenSSL's error says only that the certificate was refused, and not why.
int log_refusal(int accepted, X509_STORE_CTX* verification) {
  if (accepted == 0) {
    spdlog::error("TLS: the certificate of Redis is refused: {}",
                  X509_verify_cert_error_string(X509_STORE_CTX_get_error(verification)));
  }
  return accepted;
}

}  // namespace

bool RedisTls::is_available() { return true; }

RedisTls::RedisTls() : context_{SSL_CTX_new(TLS_client_method()), SSL_CTX_free} {
  require(context_ != nullptr, "no context");
  require(SSL_CTX_set_default_verify_paths(context_.get()) == 1, "no certificates");
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, log_refusal);
}

// hiredis can make a context too, but then it does not compare the host's name with the one in the
// certificate.
void RedisTls::start(redisContext& connection, const std::string& host) const {
  std::unique_ptr<SSL, decltype(&SSL_free)> session{SSL_new(context_.get()), SSL_free};
  require(session != nullptr, "no session");
  const bool is_address =
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session.get()), host.c_str()) == 1;
  if (!is_address) {
    require(SSL_set1_host(session.get(), host.c_str()) == 1, "host");
    require(SSL_set_tlsext_host_name(session.get(), host.c_str()) == 1, "host");
  }
  if (redisInitiateSSL(&connection, session.get()) != REDIS_OK) {
    const auto reason = failure();
    throw std::runtime_error{reason.empty() ? fmt::format("TLS: {}", connection.errstr) : reason};
  }
  static_cast<void>(session.release());  // hiredis frees it with the connection
}

void RedisTls::forget_failure() { ERR_clear_error(); }

std::string RedisTls::failure() {
  const auto error = ERR_peek_last_error();
  if (error == 0) {
    return {};
  }
  const char* reason = ERR_reason_error_string(error);
  return fmt::format(
      "TLS: {} (does this port speak TLS, and does OpenSSL trust the certificate? See "
      "SSL_CERT_FILE)",
      reason != nullptr ? reason : "unknown error");
}

}  // namespace sessions

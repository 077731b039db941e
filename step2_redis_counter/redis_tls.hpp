// TLS for the connection to Redis.
#pragma once

#include <hiredis/hiredis.h>
#include <openssl/ossl_typ.h>

#include <memory>
#include <string>

namespace sessions {

/// Encrypts connections to Redis and makes sure that the right server is at the other end: its
/// certificate must be signed by one of the authorities that OpenSSL trusts (the system's, or those
/// of SSL_CERT_FILE and SSL_CERT_DIR) and must name the host.
class RedisTls {
 public:
  /// False if the suite was built with a hiredis before 1.0, which has no TLS. Then nothing else of
  /// this class may be used.
  static bool is_available();

  /// Reads the certificates. Throws std::runtime_error.
  RedisTls();
  /// Starts the handshake on a new connection. `host` is a name or an IP address. Throws
  /// std::runtime_error; a certificate that is refused shows later, as a failed command.
  void start(redisContext& connection, const std::string& host) const;

  /// To be called before hiredis reads or writes: OpenSSL takes what anybody has left in the
  /// thread's queue of errors for its own (SSL_get_error(3)).
  static void forget_failure();
  /// What OpenSSL has failed at since, and what to try; empty if it has not failed. hiredis reports
  /// errno instead, which is often "Success".
  static std::string failure();

 private:
  std::shared_ptr<SSL_CTX> context_;
};

}  // namespace sessions

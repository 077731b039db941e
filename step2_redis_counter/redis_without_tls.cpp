// Built instead of redis_tls.cpp where hiredis has no TLS.

#include <stdexcept>

#include "redis_tls.hpp"

namespace sessions {

bool RedisTls::is_available() { return false; }

RedisTls::RedisTls() { throw std::logic_error{"this hiredis has no TLS"}; }

void RedisTls::start(redisContext& /*connection*/, const std::string& /*host*/) const {}

void RedisTls::forget_failure() {}

std::string RedisTls::failure() { return {}; }

}  // namespace sessions

#include "same_origin.hpp"

#include <strings.h>

#include <string>

#include "errors.hpp"

namespace sessions {
namespace {

/// The scheme is left out of the comparison: behind a proxy that speaks TLS it is not known here.
bool is_origin_of_host(const std::string& origin, const std::string& host) {
  const auto scheme_end = origin.find("://");
  return scheme_end != std::string::npos &&
         ::strcasecmp(origin.c_str() + scheme_end + 3, host.c_str()) == 0;
}

bool comes_from_same_origin(const Request& request) {
  if (const auto site = request.header("Sec-Fetch-Site")) {
    return site == "same-origin" || site == "none";  // none: typed, or from a bookmark
  }
  if (const auto origin = request.header("Origin")) {
    return is_origin_of_host(*origin, request.header("Host").value_or(""));
  }
  return true;
}

}  // namespace

void require_same_origin(const Request& request) {
  if (!comes_from_same_origin(request)) {
    throw HttpError{403, "The request was refused because another site sent it."};
  }
}

}  // namespace sessions

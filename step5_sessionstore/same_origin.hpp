// Which requests come from our own pages.
#pragma once

#include "http_message.hpp"

namespace sessions {

/// Throws HttpError 403 if the browser says that another site made it send this request (cross-site
/// request forgery), by Sec-Fetch-Site (https://www.w3.org/TR/fetch-metadata/) or, from a browser
/// that does not send that, by Origin (RFC 6454, section 7). Clients that send neither, such as
/// curl, are let through: nobody can make them send somebody else's cookies.
///
/// A page of the same site but another origin, which is another port or subdomain, is refused too:
/// it may be somebody else's application, and SameSite=Lax sends it our cookies all the same.
///
/// Behind a reverse proxy the Host header must arrive as the browser sent it.
void require_same_origin(const Request& request);

}  // namespace sessions

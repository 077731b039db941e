// One HTTP request that the inspector itself sends.
#pragma once

#include <asio/awaitable.hpp>
#include <string>

#include "http_reader.hpp"
#include "relay.hpp"

namespace sessions::inspector {

/// Sends `request`, as it goes over the wire, on a connection of its own and returns the answer.
/// Throws ServiceUnavailable if there is none within ten seconds. Keeps `max_body` bytes of it.
asio::awaitable<HttpMessage> send_request(TcpAddress address, std::string request,
                                          std::size_t max_body = HttpReader::kMaxBody);

}  // namespace sessions::inspector

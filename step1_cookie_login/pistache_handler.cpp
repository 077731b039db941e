#include "pistache_handler.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <pistache/peer.h>
#include <spdlog/spdlog.h>

#include <asio/co_spawn.hpp>
#include <chrono>
#include <utility>

#include "connection.hpp"
#include "errors.hpp"
#include "immediate_executor.hpp"
#include "pages.hpp"
#include "request_parser.hpp"

namespace sessions {
namespace {

namespace Http = Pistache::Http;
namespace Tcp = Pistache::Tcp;

constexpr const char* kConnection = "connection";

bool wants_close(const Http::Request& request) {
  const auto header = request.headers().tryGetRaw("Connection");
  const auto value = header ? lower_case(header->value()) : std::string{};
  return request.version() == Http::Version::Http11 ? value.find("close") != std::string::npos
                                                    : value.find("keep-alive") == std::string::npos;
}

/// How an answer is to be written: not all of it depends on the handler.
struct AnswerForm {
  bool without_body = false;  ///< to HEAD
  bool keep_alive = true;
};

// Pistache's ResponseWriter counts the bytes it sends, so it cannot announce the length of a body
// that it does not send, as an answer to HEAD has to (RFC 9110, section 9.3.2).
std::string to_wire(const Response& response, const AnswerForm& form) {
  const bool has_body = response.status() != 204;
  return fmt::format(
      "HTTP/1.1 {} {}\r\nDate: {:%a, %d %b %Y %H:%M:%S} GMT\r\n{}{}{}Connection: {}\r\n\r\n{}",
      response.status(), reason_phrase(response.status()),
      fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())),
      response.standard_headers(), response.header_lines(),
      has_body ? fmt::format("Content-Length: {}\r\n", response.body().size()) : "",
      form.keep_alive ? "keep-alive" : "close",
      form.without_body ? std::string_view{} : std::string_view{response.body()});
}

Response response_to_failure(std::exception_ptr failure, const std::string& request_line) {
  try {
    std::rethrow_exception(std::move(failure));
  } catch (const HttpError& error) {
    return error_page(error.status(), error.what());
  } catch (const ServiceUnavailable& error) {
    spdlog::error("{}: {}", request_line, error.what());
    auto response = error_page(503, "The store is not available at the moment. Please try again.");
    response.add_header("Retry-After", "1");
    return response;
  } catch (const std::exception& error) {
    spdlog::error("{}: {}", request_line, error.what());
    return error_page(500, "Something went wrong. It has been logged.");
  }
}

/// Counts a request as in flight until the last copy of the result is gone.
std::shared_ptr<void> count_as_in_flight(const std::shared_ptr<ServerState>& state) {
  ++state->in_flight;
  return {state.get(), [state](void*) { --state->in_flight; }};
}

/// Pistache's view of the server. Pistache makes a copy for each worker thread.
class PistacheHandler : public Http::Handler {
 public:
  HTTP_PROTOTYPE(PistacheHandler)

  explicit PistacheHandler(std::shared_ptr<ServerState> state) : state_{std::move(state)} {}

  void onRequest(const Http::Request& /*request*/, Http::ResponseWriter /*response*/) override {}

 private:
  void onConnection(const std::shared_ptr<Tcp::Peer>& peer) override {
    peer->putData(ParserData, std::make_shared<RequestParser>());
    peer->putData(kConnection, std::make_shared<Connection>(peer, state_->event_loop.context()));
  }

  void onDisconnection(const std::shared_ptr<Tcp::Peer>& peer) override {
    connection_of(peer)->mark_gone();
  }

  // Replaces Pistache's own onInput, which answers what it cannot parse with the parser's words and
  // hands the rest to a ResponseWriter.
  void onInput(const char* bytes, std::size_t size,
               const std::shared_ptr<Tcp::Peer>& peer) override {
    const auto connection = connection_of(peer);
    if (!connection->accepts_input(size)) {
      return;
    }
    const auto parser = std::static_pointer_cast<RequestParser>(getParser(peer));
    try {
      if (parser->complete_with(bytes, size)) {
        // From here on Pistache's limit for idle connections applies, 300 s, not that for requests.
        peer->setIdle(true);
        start_handler(connection, *parser);
        parser->reset();
      }
    } catch (const Http::HttpError& error) {
      // Of the parser's own words and codes none is for the client: 415 for an odd Accept, say.
      const bool is_ours = error.code() == static_cast<int>(Http::Code::Length_Required) ||
                           error.code() == static_cast<int>(Http::Code::Request_Entity_Too_Large);
      refuse(*connection, is_ours ? error.code() : 400,
             is_ours ? error.reason() : "The request is malformed.");
      parser->reset();
    } catch (const std::exception&) {
      refuse(*connection, 400, "The request is malformed.");
      parser->reset();
    }
  }

  void start_handler(const std::shared_ptr<Connection>& connection, RequestParser& parser) {
    const AnswerForm form{.without_body = parser.request.method() == Method::Head,
                          .keep_alive = !parser.has_more_input() && !wants_close(parser.request) &&
                                        !state_->stopping};
    connection->begin_request(!form.keep_alive);
    Request request{parser.request};
    const auto method = request.method();
    const auto path = request.path();
    asio::co_spawn(ImmediateExecutor{state_->context}, state_->routes.answer(std::move(request)),
                   [connection, form, method, path, in_flight = count_as_in_flight(state_)](
                       std::exception_ptr failure, Response response) {
                     if (failure) {
                       response = response_to_failure(
                           std::move(failure),
                           fmt::format("{} {}", Http::methodString(method), path));
                     }
                     connection->answer(to_wire(response, form), in_flight);
                   });
  }

  void refuse(Connection& connection, int status, const std::string& sentence) {
    connection.begin_request(true);
    connection.answer(to_wire(error_page(status, sentence), {.keep_alive = false}),
                      count_as_in_flight(state_));
  }

  static std::shared_ptr<Connection> connection_of(const std::shared_ptr<Tcp::Peer>& peer) {
    return std::static_pointer_cast<Connection>(peer->getData(kConnection));
  }

  std::shared_ptr<ServerState> state_;
};

}  // namespace

std::shared_ptr<Http::Handler> make_pistache_handler(std::shared_ptr<ServerState> state) {
  return std::make_shared<PistacheHandler>(std::move(state));
}

}  // namespace sessions

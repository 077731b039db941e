#include "http_server.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <pistache/endpoint.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>

#include "connection.hpp"
#include "errors.hpp"
#include "immediate_executor.hpp"
#include "pages.hpp"
#include "request_parser.hpp"

namespace sessions {
namespace {

namespace Http = Pistache::Http;
namespace Tcp = Pistache::Tcp;

constexpr std::chrono::seconds kDrainTime{10};
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

/// What the worker threads share.
struct ServerState {
  explicit ServerState(const Routes& served_routes) : routes{served_routes} {}

  const Routes& routes;
  asio::execution_context context;
  asio::io_context slow_clients{1};
  std::atomic<bool> stopping = false;
  std::atomic<int> in_flight = 0;
};

/// The thread that finishes the answers to clients that read slowly.
class SlowClientThread {
 public:
  explicit SlowClientThread(asio::io_context& slow_clients)
      : slow_clients_{slow_clients}, thread_{[this] { slow_clients_.run(); }} {}
  ~SlowClientThread() {
    slow_clients_.stop();
    thread_.join();
  }
  SlowClientThread(const SlowClientThread&) = delete;
  SlowClientThread& operator=(const SlowClientThread&) = delete;

 private:
  asio::io_context& slow_clients_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{slow_clients_.get_executor()};
  std::thread thread_;
};

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
    peer->putData(kConnection, std::make_shared<Connection>(peer, state_->slow_clients));
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

/// Every connection is a descriptor, and the usual limit of 1,024 is soon reached.
void allow_many_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// Pistache stops accepting only together with its workers, which still have to finish. So look for
// the listening socket and shut it down; new clients are then refused by the kernel.
void stop_accepting() {
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    const int descriptor = std::stoi(entry.path().filename());
    int listening = 0;
    socklen_t size = sizeof listening;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 &&
        listening != 0) {
      ::shutdown(descriptor, SHUT_RDWR);
    }
  }
}

void wait_for_stop_signal() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  int signal = 0;
  sigwait(&signals, &signal);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second Ctrl-C ends the program at once
}

void wait_until_answered(const std::atomic<int>& in_flight) {
  const auto deadline = std::chrono::steady_clock::now() + kDrainTime;
  while (in_flight > 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
}

/// An IPv6 address stands in brackets (RFC 3986, section 3.2.2).
std::string host_of_url(const std::string& host) {
  return host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
}

std::unique_ptr<Http::Endpoint> start_endpoint(const Settings& settings,
                                               const std::shared_ptr<ServerState>& state) {
  const auto host = host_of_url(settings.host());
  try {
    auto endpoint =
        std::make_unique<Http::Endpoint>(Pistache::Address{host, Pistache::Port{settings.port()}});
    endpoint->init(
        Http::Endpoint::options()
            .threads(settings.threads())
            .flags(Tcp::Options::ReuseAddr | Tcp::Options::NoDelay | Tcp::Options::CloseOnExec));
    endpoint->setHandler(std::make_shared<PistacheHandler>(state));
    endpoint->serveThreaded();
    return endpoint;
  } catch (const std::exception& error) {
    throw SettingError{fmt::format(
        "--host (HOST), --port (PORT): cannot listen on {}:{}: {}. --port 0 picks a free port",
        host, settings.port(), error.what())};
  }
}

}  // namespace

int serve(const Settings& settings, const Routes& routes,
          const std::function<void()>& when_listening) {
  allow_many_connections();
  const auto state = std::make_shared<ServerState>(routes);
  const SlowClientThread slow_client_thread{state->slow_clients};
  const auto endpoint = start_endpoint(settings, state);
  if (when_listening) {
    when_listening();
  }
  std::cout << fmt::format("{} listening on http://{}:{}", settings.step_name(),
                           host_of_url(settings.host()),
                           static_cast<std::uint16_t>(endpoint->getPort()))
            << '\n'
            << std::flush;

  wait_for_stop_signal();
  state->stopping = true;
  stop_accepting();
  wait_until_answered(state->in_flight);
  endpoint->shutdown();
  return 0;
}

}  // namespace sessions

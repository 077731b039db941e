#include "http_server.hpp"

#include <fmt/format.h>
#include <pistache/endpoint.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <filesystem>
#include <thread>

#include "errors.hpp"
#include "pistache_handler.hpp"

namespace sessions {
namespace {

namespace Http = Pistache::Http;
namespace Tcp = Pistache::Tcp;

constexpr std::chrono::seconds kDrainTime{10};

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

void wait_until_answered(const std::atomic<int>& in_flight) {
  const auto deadline = std::chrono::steady_clock::now() + kDrainTime;
  while (in_flight > 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
}

std::unique_ptr<Http::Endpoint> start_endpoint(const ServerOptions& options,
                                               const std::shared_ptr<ServerState>& state) {
  const auto host = host_of_url(options.host);
  try {
    auto endpoint =
        std::make_unique<Http::Endpoint>(Pistache::Address{host, Pistache::Port{options.port}});
    endpoint->init(
        Http::Endpoint::options()
            .threads(options.threads)
            .flags(Tcp::Options::ReuseAddr | Tcp::Options::NoDelay | Tcp::Options::CloseOnExec)
            .keepaliveTimeout(options.keep_alive));
    endpoint->setHandler(make_pistache_handler(state));
    endpoint->serveThreaded();
    return endpoint;
  } catch (const std::exception& error) {
    throw SettingError{fmt::format(
        "--host (HOST), --port (PORT): cannot listen on {}:{}: {}. --port 0 picks a free port",
        host, options.port, error.what())};
  }
}

}  // namespace

HttpServer::HttpServer(EventLoop& event_loop, const Routes& routes, const ServerOptions& options)
    : state_{std::make_shared<ServerState>(event_loop, routes)} {
  allow_many_connections();
  endpoint_ = start_endpoint(options, state_);
}

HttpServer::~HttpServer() { endpoint_->shutdown(); }

std::uint16_t HttpServer::port() const { return static_cast<std::uint16_t>(endpoint_->getPort()); }

void HttpServer::stop() {
  state_->stopping = true;
  stop_accepting();
  wait_until_answered(state_->in_flight);
}

std::string host_of_url(const std::string& host) {
  return host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
}

}  // namespace sessions

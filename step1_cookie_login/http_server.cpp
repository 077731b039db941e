#include "http_server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pistache/endpoint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "errors.hpp"
#include "pistache_handler.hpp"

namespace sessions {
namespace {

namespace Http = Pistache::Http;
namespace Tcp = Pistache::Tcp;

constexpr std::chrono::seconds kDrainTime{10};
// Who is just being connected is in the queue by then. Not longer: who asks for a connection in
// this time asks again after a second.
constexpr std::chrono::milliseconds kHandshakeTime{10};
// Who has just been accepted is counted by then.
constexpr std::chrono::milliseconds kAcceptTime{100};
// How long somebody may be connected before a request comes, once no more are accepted.
constexpr std::chrono::seconds kNewcomerTime{1};

/// All descriptors that are open.
std::vector<int> open_descriptors() {
  std::vector<int> descriptors;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    descriptors.push_back(std::stoi(entry.path().filename()));
  }
  return descriptors;
}

/// How many connections there may be. Each is two descriptors, Pistache's and a Connection's, and
/// the usual limit of 1,024 is soon reached, so it is raised. Some are left over, for stores and
/// for clients that are refused: an acceptor without a descriptor would try again and again.
int max_connections() {
  constexpr rlim_t kLeftOver = 128;
  constexpr rlim_t kMax = 1'000'000;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    throw std::system_error{errno, std::generic_category(), "getrlimit"};
  }
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const auto all = std::min(limit.rlim_max, kMax);
  const auto taken = open_descriptors().size() + std::min(kLeftOver, all / 4);
  return static_cast<int>((all - std::min<rlim_t>(taken, all)) / 2);
}

/// Returns when nothing has been busy for `quiet_time`, or after `patience`.
template <typename Predicate>
void wait_until_quiet(Predicate is_busy, std::chrono::milliseconds quiet_time,
                      std::chrono::milliseconds patience) {
  const auto start = std::chrono::steady_clock::now();
  auto last_busy = start;
  for (auto now = start; now - last_busy < quiet_time && now - start < patience;) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    now = std::chrono::steady_clock::now();
    last_busy = is_busy() ? now : last_busy;
  }
}

/// Pistache keeps its listening socket to itself.
int find_listening_socket(std::uint16_t port) {
  for (const int descriptor : open_descriptors()) {
    int is_listening = 0;
    socklen_t size = sizeof is_listening;
    sockaddr_in address{};  // the port is in the same place in a sockaddr_in6
    socklen_t address_size = sizeof address;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) == 0 &&
        is_listening != 0 &&
        ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &address_size) == 0 &&
        ntohs(address.sin_port) == port) {
      return descriptor;
    }
  }
  throw std::runtime_error{"the listening socket is not found"};
}

/// Waits until everybody who is connected has also been accepted. The kernel connects clients and
/// keeps them in a queue, and closing the listening socket would break those connections. So it
/// first stops the queue from growing: it passes over what asks for a connection (a packet with the
/// flag SYN, RFC 9293, section 3.1), which the client sends again.
void let_the_queue_run_empty(int listener) {
  constexpr unsigned int kFlagsByte = 13;
  constexpr unsigned int kSyn = 2;
  std::array<sock_filter, 4> drop_if_syn{{BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlagsByte),
                                          BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kSyn, 0, 1),
                                          BPF_STMT(BPF_RET | BPF_K, 0),
                                          BPF_STMT(BPF_RET | BPF_K, 0xffff'ffff)}};
  const sock_fprog filter{drop_if_syn.size(), drop_if_syn.data()};
  ::setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
  wait_until_quiet(
      [listener] {
        tcp_info information{};
        socklen_t size = sizeof information;
        return ::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &information, &size) == 0 &&
               information.tcpi_unacked > 0;  // of a listening socket: the queue's length
      },
      kHandshakeTime, kNewcomerTime);
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
    endpoint->setHandler(std::make_shared<PistacheHandler>(state));
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
  state_->patience = options.patience;
  endpoint_ = start_endpoint(options, state_);
  listener_ = find_listening_socket(port());
  state_->max_connections = max_connections();
}

HttpServer::~HttpServer() { endpoint_->shutdown(); }

std::uint16_t HttpServer::port() const { return static_cast<std::uint16_t>(endpoint_->getPort()); }

void HttpServer::stop() {
  state_->stopping = true;
  let_the_queue_run_empty(listener_);
  // Pistache stops accepting only together with its workers, which still have to finish. So another
  // descriptor takes the number of the socket that listens: that one is closed, the kernel refuses
  // new clients, and Pistache's acceptor hears no more of it.
  ::dup3(STDERR_FILENO, listener_, O_CLOEXEC);
  wait_until_quiet([this] { return state_->in_flight > 0 || state_->newcomers > 0; }, kAcceptTime,
                   kNewcomerTime);
  wait_until_quiet([this] { return state_->in_flight > 0; }, kAcceptTime, kDrainTime);
}

std::string host_of_url(const std::string& host) {
  return host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
}

}  // namespace sessions

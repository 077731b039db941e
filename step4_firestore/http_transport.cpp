#include "http_transport.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <asio/async_result.hpp>
#include <asio/dispatch.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <exception>
#include <new>
#include <utility>

namespace sessions {
namespace {

constexpr long kMaxConnectionsPerHost = 100;
constexpr std::size_t kMaxResponseBytes = std::size_t{16} * 1024 * 1024;

struct EasyCleanup {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};

struct HeadersCleanup {
  void operator()(curl_slist* headers) const { curl_slist_free_all(headers); }
};

/// libcurl's own global state, for the life of the program.
class CurlLibrary {
 public:
  CurlLibrary() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  ~CurlLibrary() { curl_global_cleanup(); }
  CurlLibrary(const CurlLibrary&) = delete;
  CurlLibrary& operator=(const CurlLibrary&) = delete;
};

void initialize_curl() { static const CurlLibrary library; }

}  // namespace

struct HttpTransport::WatchedSocket {
  WatchedSocket(asio::io_context& event_loop, curl_socket_t socket)
      : descriptor{event_loop, socket}, number{socket} {}
  // libcurl closes it.
  ~WatchedSocket() { descriptor.release(); }
  WatchedSocket(const WatchedSocket&) = delete;
  WatchedSocket& operator=(const WatchedSocket&) = delete;

  asio::posix::stream_descriptor descriptor;
  const curl_socket_t number;
  int wanted = 0;    ///< CURL_POLL_IN, CURL_POLL_OUT
  int awaiting = 0;  ///< the same, as far as asio is waiting for it
};

/// One request, its answer, and who waits for it.
class HttpTransport::Transfer {
 public:
  explicit Transfer(HttpTransportRequest request);
  virtual ~Transfer() = default;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  CURL* easy() const { return easy_.get(); }

  /// Lets the waiting coroutine go on; called once.
  void finish(CURLcode result);
  void fail(HttpTransportError::Kind kind, const std::string& reason);

 private:
  virtual void complete(std::exception_ptr failure, HttpTransportResponse response) = 0;

  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* transfer);
  static int on_sending(void* transfer, char* server_address, char* local_address, int server_port,
                        int local_port);

  HttpTransportRequest request_;
  HttpTransportResponse response_;
  bool sent_ = false;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::unique_ptr<curl_slist, HeadersCleanup> headers_;
  std::unique_ptr<CURL, EasyCleanup> easy_;
};

template <typename CompletionHandler>
class HttpTransport::TransferFor : public HttpTransport::Transfer {
 public:
  TransferFor(HttpTransportRequest request, CompletionHandler handler)
      : Transfer{std::move(request)}, handler_{std::move(handler)} {}

 private:
  void complete(std::exception_ptr failure, HttpTransportResponse response) override {
    const auto executor = asio::get_associated_executor(handler_);
    asio::dispatch(executor, [handler = std::move(handler_), failure = std::move(failure),
                              response = std::move(response)]() mutable {
      std::move(handler)(std::move(failure), std::move(response));
    });
  }

  CompletionHandler handler_;
};

HttpTransport::Transfer::Transfer(HttpTransportRequest request)
    : request_{std::move(request)}, easy_{curl_easy_init()} {
  if (!easy_) {
    throw std::bad_alloc{};
  }
  request_.headers.emplace_back("Expect:");  // do not wait for the server's leave to send the body
  for (const auto& header : request_.headers) {
    auto* longer = curl_slist_append(headers_.get(), header.c_str());
    if (longer == nullptr) {
      throw std::bad_alloc{};
    }
    static_cast<void>(headers_.release());
    headers_.reset(longer);
  }
  const auto time_left = std::chrono::duration_cast<std::chrono::milliseconds>(
      request_.deadline - std::chrono::steady_clock::now());
  curl_easy_setopt(easy(), CURLOPT_PRIVATE, this);
  curl_easy_setopt(easy(), CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(easy(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy(), CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
  curl_easy_setopt(easy(), CURLOPT_HTTPHEADER, headers_.get());
  // 0 would mean no limit at all.
  curl_easy_setopt(easy(), CURLOPT_TIMEOUT_MS,
                   static_cast<long>(std::max<std::int64_t>(1, time_left.count())));
  curl_easy_setopt(easy(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy(), CURLOPT_ERRORBUFFER, error_.data());
  curl_easy_setopt(easy(), CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy(), CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy(), CURLOPT_PREREQFUNCTION, on_sending);
  curl_easy_setopt(easy(), CURLOPT_PREREQDATA, this);
  if (request_.body) {
    curl_easy_setopt(easy(), CURLOPT_POSTFIELDSIZE, static_cast<long>(request_.body->size()));
    curl_easy_setopt(easy(), CURLOPT_POSTFIELDS, request_.body->data());
  }
  if (request_.url.starts_with("http:")) {
    // An emulator or a metadata server: both are near, and no proxy knows them.
    curl_easy_setopt(easy(), CURLOPT_PROXY, "");
  } else {
    curl_easy_setopt(easy(), CURLOPT_PIPEWAIT, 1L);  // share one HTTP/2 connection
  }
}

void HttpTransport::Transfer::finish(CURLcode result) {
  if (result != CURLE_OK) {
    fail(result == CURLE_OPERATION_TIMEDOUT ? HttpTransportError::Kind::kTimedOut
                                            : HttpTransportError::Kind::kNoConnection,
         error_.front() != '\0' ? error_.data() : curl_easy_strerror(result));
    return;
  }
  curl_easy_getinfo(easy(), CURLINFO_RESPONSE_CODE, &response_.status);
  complete(nullptr, std::move(response_));
}

void HttpTransport::Transfer::fail(HttpTransportError::Kind kind, const std::string& reason) {
  complete(std::make_exception_ptr(HttpTransportError{kind, reason}), {});
}

std::size_t HttpTransport::Transfer::on_body(char* bytes, std::size_t size, std::size_t count,
                                             void* transfer) {
  auto& body = static_cast<Transfer*>(transfer)->response_.body;
  if (body.size() + size * count > kMaxResponseBytes) {
    return 0;  // ends the transfer
  }
  body.append(bytes, size * count);
  return size * count;
}

int HttpTransport::Transfer::on_sending(void* transfer, char* /*server_address*/,
                                        char* /*local_address*/, int /*server_port*/,
                                        int /*local_port*/) {
  const bool sent_before = std::exchange(static_cast<Transfer*>(transfer)->sent_, true);
  return sent_before ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

HttpTransport::HttpTransport(asio::io_context& event_loop)
    : event_loop_{event_loop}, timer_{event_loop} {
  initialize_curl();
  multi_.reset(curl_multi_init());
  if (!multi_) {
    throw std::bad_alloc{};
  }
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_.get(), CURLMOPT_MAX_HOST_CONNECTIONS, kMaxConnectionsPerHost);
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, kMaxConnectionsPerHost);
}

HttpTransport::~HttpTransport() { stop(); }

asio::awaitable<HttpTransportResponse> HttpTransport::send(HttpTransportRequest request) {
  return asio::async_initiate<const asio::use_awaitable_t<>,
                              void(std::exception_ptr, HttpTransportResponse)>(
      [self = shared_from_this()](auto handler, HttpTransportRequest sent) {
        self->start(
            std::make_unique<TransferFor<decltype(handler)>>(std::move(sent), std::move(handler)));
      },
      asio::use_awaitable, std::move(request));
}

void HttpTransport::stop() {
  for (auto& [easy, transfer] : transfers_) {
    curl_multi_remove_handle(multi_.get(), easy);
  }
  multi_.reset();
  sockets_.clear();
  timer_.cancel();
  for (auto& [easy, transfer] : std::exchange(transfers_, {})) {
    transfer->fail(HttpTransportError::Kind::kStopped, "the client was stopped");
  }
}

void HttpTransport::start(std::unique_ptr<Transfer> transfer) {
  if (!multi_) {
    transfer->fail(HttpTransportError::Kind::kStopped, "the client was stopped");
    return;
  }
  auto* easy = transfer->easy();
  transfers_[easy] = std::move(transfer);
  curl_multi_add_handle(multi_.get(), easy);
}

void HttpTransport::watch(curl_socket_t socket, int events) {
  if (events == CURL_POLL_REMOVE) {
    if (const auto found = sockets_.find(socket); found != sockets_.end()) {
      found->second->wanted = 0;
      found->second->descriptor.release();
      sockets_.erase(found);
    }
    return;
  }
  auto& watched = sockets_[socket];
  if (!watched) {
    watched = std::make_shared<WatchedSocket>(event_loop_, socket);
  }
  watched->wanted = events;
  wait_for_events(watched);
}

void HttpTransport::wait_for_events(const std::shared_ptr<WatchedSocket>& socket) {
  for (const int event : {CURL_POLL_IN, CURL_POLL_OUT}) {
    if ((socket->wanted & event) != 0 && (socket->awaiting & event) == 0) {
      wait_for_event(socket, event);
    }
  }
}

void HttpTransport::wait_for_event(const std::shared_ptr<WatchedSocket>& socket, int event) {
  using Descriptor = asio::posix::stream_descriptor;
  socket->awaiting |= event;
  socket->descriptor.async_wait(
      event == CURL_POLL_IN ? Descriptor::wait_read : Descriptor::wait_write,
      [self = shared_from_this(), socket, event](const std::error_code& error) {
        socket->awaiting &= ~event;
        if (error || (socket->wanted & event) == 0) {
          return;
        }
        self->act(socket->number, event == CURL_POLL_IN ? CURL_CSELECT_IN : CURL_CSELECT_OUT);
        self->wait_for_events(socket);
      });
}

// libcurl must not be called from within its callbacks, so even no time at all is a detour.
void HttpTransport::set_timer(long milliseconds) {
  timer_.cancel();
  if (milliseconds < 0) {
    return;
  }
  timer_.expires_after(std::chrono::milliseconds{milliseconds});
  timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
    if (!error) {
      self->act(CURL_SOCKET_TIMEOUT, 0);
    }
  });
}

void HttpTransport::act(curl_socket_t socket, int events) {
  if (!multi_) {
    return;
  }
  int running = 0;
  curl_multi_socket_action(multi_.get(), socket, events, &running);
  complete_finished();
}

// A coroutine that is resumed may send its next request or stop the transport, so nothing here
// refers to libcurl's messages any more when it is.
void HttpTransport::complete_finished() {
  std::vector<std::pair<std::unique_ptr<Transfer>, CURLcode>> finished;
  int left = 0;
  while (const auto* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg == CURLMSG_DONE) {
      auto* easy = message->easy_handle;
      const auto result = message->data.result;
      curl_multi_remove_handle(multi_.get(), easy);
      const auto found = transfers_.find(easy);
      finished.emplace_back(std::move(found->second), result);
      transfers_.erase(found);
    }
  }
  for (auto& [transfer, result] : finished) {
    transfer->finish(result);
  }
}

int HttpTransport::on_socket(CURL* /*easy*/, curl_socket_t socket, int events, void* transport,
                             void* /*socket_data*/) {
  static_cast<HttpTransport*>(transport)->watch(socket, events);
  return 0;
}

int HttpTransport::on_timer(CURLM* /*multi*/, long milliseconds, void* transport) {
  static_cast<HttpTransport*>(transport)->set_timer(milliseconds);
  return 0;
}

}  // namespace sessions

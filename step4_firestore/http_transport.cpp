#include "http_transport.hpp"

#include <fmt/format.h>

#include <array>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <future>
#include <new>
#include <utility>

namespace sessions {
namespace {

constexpr long kMaxConnectionsPerHost = 100;
constexpr std::size_t kMaxResponseBytes = std::size_t{16} * 1024 * 1024;
constexpr int kLongestPollMilliseconds = 60'000;

CURLM* new_multi() {
  // For the life of the program: a lookup that was left to itself may outlive everything else.
  static const auto initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURLM* multi = initialized == CURLE_OK ? curl_multi_init() : nullptr;
  if (multi == nullptr) {
    throw std::bad_alloc{};
  }
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, kMaxConnectionsPerHost);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kMaxConnectionsPerHost);
  return multi;
}

std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* response) {
  auto& body = static_cast<HttpTransportResponse*>(response)->body;
  if (body.size() + size * count > kMaxResponseBytes) {
    return 0;  // ends the transfer
  }
  body.append(bytes, size * count);
  return size * count;
}

int on_sending(void* was_sent, char* /*server_address*/, char* /*local_address*/,
               int /*server_port*/, int /*local_port*/) {
  const bool sent_before = std::exchange(*static_cast<bool*>(was_sent), true);
  return sent_before ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

}  // namespace

/// One request and its answer. Once it is posted, it belongs to the thread, except for the timer.
struct HttpTransport::Transfer {
  Transfer(asio::io_context& event_loop, HttpTransportRequest to_send)
      : request{std::move(to_send)}, timer{event_loop, request.deadline} {
    request.headers.emplace_back("Expect:");  // do not wait for the server's leave to send the body
    for (const auto& header : request.headers) {
      headers.reset(curl_slist_append(headers.release(), header.c_str()));
      if (!headers || !easy) {
        throw std::bad_alloc{};
      }
    }
    const auto set = [this](CURLoption option, auto value) {
      curl_easy_setopt(easy.get(), option, value);
    };
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_NOSIGNAL, 1L);
    // When a request is given up while its name is being looked up, the lookup is left to itself.
    // Otherwise libcurl would wait for it: 20 s with a name server that is silent.
    set(CURLOPT_QUICK_EXIT, 1L);
    set(CURLOPT_ERRORBUFFER, reason.data());
    set(CURLOPT_WRITEFUNCTION, on_body);
    set(CURLOPT_WRITEDATA, &response);
    set(CURLOPT_PREREQFUNCTION, on_sending);
    set(CURLOPT_PREREQDATA, &was_sent);
    if (request.body) {
      set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body->size()));
      set(CURLOPT_POSTFIELDS, request.body->data());
    }
    if (request.url.starts_with("http:")) {
      // An emulator or a metadata server: both are near, no proxy knows them.
      set(CURLOPT_PROXY, "");
    } else {
      set(CURLOPT_PIPEWAIT, 1L);  // share one HTTP/2 connection
    }
  }

  HttpTransportRequest request;
  HttpTransportResponse response;
  std::promise<HttpTransportResponse> answer;
  bool was_sent = false;
  std::array<char, CURL_ERROR_SIZE> reason{};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers{nullptr, curl_slist_free_all};
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy{curl_easy_init(), curl_easy_cleanup};
  asio::steady_timer timer;  ///< ends at the deadline; cancelled when there is an answer
};

HttpTransport::HttpTransport(asio::io_context& event_loop)
    : event_loop_{event_loop},
      multi_{new_multi(), curl_multi_cleanup},
      thread_{&HttpTransport::run, this} {}

asio::awaitable<HttpTransportResponse> HttpTransport::send(HttpTransportRequest request) {
  const auto transfer = std::make_shared<Transfer>(event_loop_, std::move(request));
  auto answer = transfer->answer.get_future();
  post([this, transfer] {
    auto* easy = transfer->easy.get();
    if (const auto result = curl_multi_add_handle(multi_.get(), easy); result != CURLM_OK) {
      const ServiceUnavailable error{curl_multi_strerror(result)};
      return finish(transfer, std::make_exception_ptr(error));
    }
    transfers_.emplace(easy, transfer);
  });
  if (is_stopped_) {
    throw ClientStopped{};
  }
  std::error_code ignored;
  co_await transfer->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  if (answer.wait_for(std::chrono::seconds{0}) != std::future_status::ready) {
    post([this, transfer] {
      curl_multi_remove_handle(multi_.get(), transfer->easy.get());
      transfers_.erase(transfer->easy.get());
    });
    throw AnswerLost{fmt::format("no answer from {} in time", transfer->request.url)};
  }
  co_return answer.get();
}

void HttpTransport::stop() {
  is_stopped_ = true;
  curl_multi_wakeup(multi_.get());
  if (thread_.joinable()) {
    thread_.join();
  }
}

/// Lets the thread run `task`, unless it has stopped.
void HttpTransport::post(std::function<void()> task) {
  asio::post(tasks_, std::move(task));
  curl_multi_wakeup(multi_.get());
}

void HttpTransport::run() {
  for (bool is_last = false; !is_last;) {
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    collect_finished();
    curl_multi_poll(multi_.get(), nullptr, 0, kLongestPollMilliseconds, nullptr);
    is_last = is_stopped_;  // what was posted before that is still done
    tasks_.restart();
    tasks_.poll();
  }
  for (const auto& [easy, transfer] : std::exchange(transfers_, {})) {
    curl_multi_remove_handle(multi_.get(), easy);
    finish(transfer, std::make_exception_ptr(ClientStopped{}));
  }
}

void HttpTransport::collect_finished() {
  int left = 0;
  while (const auto* message = curl_multi_info_read(multi_.get(), &left)) {
    const auto result = message->data.result;
    const auto transfer = transfers_.extract(message->easy_handle).mapped();
    auto* easy = transfer->easy.get();
    curl_multi_remove_handle(multi_.get(), easy);  // `message` is invalid now
    if (result == CURLE_OK) {
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &transfer->response.status);
      finish(transfer, nullptr);
    } else {
      const char* reason =
          transfer->reason.front() != '\0' ? transfer->reason.data() : curl_easy_strerror(result);
      finish(transfer, transfer->was_sent ? std::make_exception_ptr(AnswerLost{reason})
                                          : std::make_exception_ptr(ServiceUnavailable{reason}));
    }
  }
}

/// Lets the coroutine that waits for an answer go on, if it still does.
void HttpTransport::finish(const std::shared_ptr<Transfer>& transfer, std::exception_ptr failure) {
  failure ? transfer->answer.set_exception(std::move(failure))
          : transfer->answer.set_value(std::move(transfer->response));
  asio::post(event_loop_, [transfer] { transfer->timer.cancel(); });
}

}  // namespace sessions

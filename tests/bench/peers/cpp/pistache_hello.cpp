// The ceiling: Pistache answering "hello" to everything, without cookies or stores.
#include <pistache/endpoint.h>

#include <csignal>
#include <cstdlib>
#include <string>

namespace {

namespace Http = Pistache::Http;

class Hello : public Http::Handler {
 public:
  HTTP_PROTOTYPE(Hello)

  void onRequest(const Http::Request& /*request*/, Http::ResponseWriter response) override {
    response.headers().remove<Http::Header::Connection>();
    response.headers().add<Http::Header::Connection>(Http::ConnectionControl::KeepAlive);
    response.send(Http::Code::Ok, "hello");
  }
};

}  // namespace

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  const Pistache::Port port{static_cast<std::uint16_t>(std::stoi(std::getenv("PORT")))};
  Http::Endpoint endpoint{Pistache::Address{"127.0.0.1", port}};
  endpoint.init(Http::Endpoint::options()
                    .threads(std::stoi(std::getenv("THREADS")))
                    .flags(Pistache::Tcp::Options::ReuseAddr | Pistache::Tcp::Options::NoDelay));
  endpoint.setHandler(std::make_shared<Hello>());
  endpoint.serve();
}

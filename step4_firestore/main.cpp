// Step 4: a greeting that stays the same, and a counter, in Firestore.
//
// What is new: a client for Firestore's REST API, and a transaction: the session is read and
// written as one unit, whoever else counts in it. The cookie holds a random id and nothing else.
// Carried over: the server, the pages, the cookie and the event loop of step 1.
//
// Run it: ./tutorial run 4

#include <fmt/format.h>

#include <array>
#include <limits>
#include <random>

#include "cookie.hpp"
#include "event_loop.hpp"
#include "firestore_client.hpp"
#include "pages.hpp"
#include "program.hpp"
#include "session_id.hpp"
#include "store_check.hpp"

namespace {

using namespace sessions;

constexpr std::array<std::string_view, 5> kGreetings{"Hello World", "Hallo Welt", "Ciao Mondo",
                                                     "Salut le Monde", "Hola Mundo"};
constexpr std::chrono::days kLifetime{14};

struct Session {
  std::string id;
  std::string greeting;
  std::int64_t views = 0;
};

std::string random_greeting() {
  std::random_device random;
  std::uniform_int_distribution<std::size_t> index{0, kGreetings.size() - 1};
  return std::string{kGreetings.at(index(random))};
}

/// Firestore deletes what has expired up to a day late, the emulator never.
bool has_expired(const FirestoreDocument& session) {
  return session.fields.timestamp("expireAt").value_or(FirestoreTime::max()) <= firestore_time();
}

/// 0 if the field is not a number that can be counted on.
std::int64_t counted_views(const FirestoreDocument& session) {
  const auto views = session.fields.integer("views").value_or(0);
  return views < 0 || views == std::numeric_limits<std::int64_t>::max() ? 0 : views;
}

//! [get_session_data]
// Looks up the session with the given id and counts a view in it. If there is no such session,
// `fresh` becomes one: a client never chooses its own id. May be called several times for one
// visit, so everything random is in its arguments.
asio::awaitable<Session> get_session_data(FirestoreTransaction& transaction,
                                          std::optional<std::string> id, Session fresh) {
  Session session = std::move(fresh);
  std::optional<FirestoreDocument> document;
  if (id) {
    document = co_await transaction.get("sessions/" + *id);
  }
  const bool exists = document && !has_expired(*document);
  if (exists) {
    session.id = *id;
    session.greeting = document->fields.string("greeting").value_or(session.greeting);
    session.views = counted_views(*document);
  }
  session.views += 1;
  FirestoreFields fields;
  fields.set("greeting", session.greeting)
      .set("views", session.views)
      .set("expireAt", firestore_time(kLifetime));
  const auto path = "sessions/" + session.id;
  transaction.write(exists ? FirestoreWrite::update(path, fields)
                           : FirestoreWrite::create(path, fields));
  co_return session;
}
//! [get_session_data]

class Application {
 public:
  Application(const Settings& settings, FirestoreClient& firestore)
      : session_id_{settings, "session_id"}, firestore_{firestore} {}

  //! [home]
  asio::awaitable<Response> home(Request request) {
    const auto id = valid_session_id(session_id_.read(request));
    const Session fresh{new_session_id(), random_greeting()};
    const auto session = co_await firestore_.run_transaction(
        id.value_or(fresh.id), [&](FirestoreTransaction& transaction) {
          return get_session_data(transaction, id, fresh);
        });
    Response response{
        200, page(fmt::format("{} views for \"{}\"", session.views, escape(session.greeting)))};
    session_id_.write(response, session.id);
    co_return response;
  }
  //! [home]

 private:
  Cookie session_id_;
  FirestoreClient& firestore_;
};

}  // namespace

int main(int argc, char** argv) {
  const StepDescription step{
      .name = "step4_firestore",
      .summary = "Greets each visitor and counts the views in a Firestore transaction.",
      .default_port = 8080,
      .variables = {kCookieSecure, kFirestoreEmulatorHost, kGoogleCloudProject,
                    kGoogleApplicationCredentials, kGceMetadataHost}};
  return run_step(argc, argv, step, [](const Settings& settings) {
    EventLoop event_loop;
    FirestoreClient firestore{event_loop, settings};
    if (settings.check()) {
      return check_firestore(event_loop, firestore);
    }
    Application application{settings, firestore};
    Routes routes;
    routes.add("/", {Method::Get}, application, &Application::home);
    return serve(settings, event_loop, routes, [&] {
      warn_if_unreachable(event_loop, firestore.ping(), firestore.description());
    });
  });
}

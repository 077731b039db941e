// Which handler answers which path and method.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "http_message.hpp"

namespace sessions {

/// Answers one request. It starts on the worker thread that read the request and must not block
/// there; after a co_await it goes on wherever the awaited operation completes. Its argument comes
/// by value because a reference would dangle after the first co_await.
using Handler = std::function<asio::awaitable<Response>(Request)>;

/// The handlers by path and method.
class Routes {
 public:
  /// An action is a page that changes something even by GET, such as a logout. Only a visit gets to
  /// its handler: HEAD does not, nor a browser that loads pages in advance
  /// (https://wicg.github.io/nav-speculation/prefetch.html#sec-purpose-header).
  enum class Kind { kPage, kAction };

  /// `methods` are Get or Post or both. HEAD is answered wherever GET is, OPTIONS everywhere.
  void add(std::string path, std::initializer_list<Method> methods, Handler handler,
           Kind kind = Kind::kPage);

  /// The same for a member function of an application that outlives the server.
  template <typename Application>
  void add(std::string path, std::initializer_list<Method> methods, Application& application,
           asio::awaitable<Response> (Application::*handler)(Request), Kind kind = Kind::kPage) {
    add(
        std::move(path), methods,
        [&application, handler](Request request) {
          return (application.*handler)(std::move(request));
        },
        kind);
  }

  /// The answer of the request's handler; 204 with Allow to OPTIONS, 404 to an unknown path, 405
  /// with Allow to a method that the path does not have (RFC 9110, section 15.5.6); 503 to a
  /// browser that loads an action in advance.
  asio::awaitable<Response> answer(Request request) const;

 private:
  struct Route {
    std::vector<Method> methods;
    std::string allow;
    Handler handler;
    Kind kind;
  };
  std::map<std::string, Route> routes_;
};

}  // namespace sessions

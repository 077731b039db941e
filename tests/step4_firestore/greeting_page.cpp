#include "greeting_page.hpp"

#include <regex>
#include <stdexcept>

namespace sessions::test {

Visit read_visit(const Response& response) {
  static const std::regex sentence{"(-?\\d+) views for \"([^\"]*)\""};
  std::smatch match;
  if (response.status != 200 || !std::regex_search(response.body, match, sentence)) {
    throw std::runtime_error{"not a greeting: " + std::to_string(response.status) + "\n" +
                             response.body};
  }
  return {std::stoll(match[1]), match[2], response.cookie("session_id").value_or("")};
}

Visit visit(const std::string& url, const std::string& id) {
  HttpClient client{url};
  return read_visit(id.empty() ? client.get("/")
                               : client.get("/", {cookie_header("session_id", id)}));
}

std::vector<std::string> hostile_ids() {
  return {"",
          ".",
          "..",
          "__x__",
          "a/b/c",
          "../users/alice",
          "%2e%2e",
          std::string(2000, 'a'),
          "\xff\xfe\x80",
          "2f1c1b1e-9a6b-4c53-8d43-6c0a6f2f6f0a",  // well-formed, but names no document
          "2F1C1B1E-9A6B-4C53-8D43-6C0A6F2F6F0A",  // not how an id is written
          "2f1c1b1e-9a6b-4c53-8d43-6c0a6f2f6f0a/views/1"};
}

}  // namespace sessions::test

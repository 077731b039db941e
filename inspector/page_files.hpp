// The files of the inspector's page, which are compiled in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sessions::inspector {

struct PageFile {
  std::string_view content;
  std::string_view headers;  ///< its type, and what it may do
};

/// The paths under which the files are served.
std::vector<std::string> page_paths();
/// Throws std::out_of_range if there is none of that path.
const PageFile& page_file(const std::string& path);

}  // namespace sessions::inspector

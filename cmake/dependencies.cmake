# Finds every library that the suite uses. What is missing ends the configuration with the name of the Debian package.

find_package(PkgConfig)
if(NOT PkgConfig_FOUND)
  message(FATAL_ERROR "pkg-config is missing. Install it: apt-get install pkg-config, or run ./tutorial setup")
endif()

# Looks for a pkg-config module and makes it available as the target PkgConfig::<name>.
function(require_module name module debian_package)
  pkg_check_modules(${name} IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "${name} is missing. Install it: apt-get install ${debian_package}, or run ./tutorial setup")
  endif()
endfunction()

# Looks for a header-only library and makes it available as the interface target <name>.
function(require_header name header debian_package)
  find_path(${name}_INCLUDE_DIR ${header})
  if(NOT ${name}_INCLUDE_DIR)
    message(FATAL_ERROR "${name} is missing. Install it: apt-get install ${debian_package}, or run ./tutorial setup")
  endif()
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIR})
endfunction()

find_package(Threads REQUIRED)
require_module(pistache libpistache libpistache-dev)
require_module(hiredis hiredis libhiredis-dev)
require_module(curl libcurl libcurl4-openssl-dev)
require_module(openssl openssl libssl-dev)
require_module(spdlog spdlog libspdlog-dev)
require_module(utf8proc libutf8proc libutf8proc-dev)
# It defines a macro that only Windows needs, and a precompiled header serves targets with the same definitions only.
set_property(TARGET PkgConfig::utf8proc PROPERTY INTERFACE_COMPILE_OPTIONS)
require_module(uuid uuid uuid-dev)
require_header(asio_headers asio.hpp libasio-dev)
# Compiled once (https://think-async.com/Asio/asio-1.22.1/doc/asio/using.html, "Optional separate compilation"): in every source
# that includes it, the library's inside is most of what the compiler has to do.
file(CONFIGURE OUTPUT asio.cpp CONTENT "#include <asio/impl/src.hpp>\n#include <asio/ssl/impl/src.hpp>\n")
add_library(asio STATIC ${CMAKE_CURRENT_BINARY_DIR}/asio.cpp)
target_link_libraries(asio PUBLIC asio_headers PkgConfig::openssl Threads::Threads)
# Whether asio 1.22 allocates with aligned_alloc depends on the headers that come before its own in each source file; what one
# file allocates with new, another would free with free().
target_compile_definitions(asio PUBLIC ASIO_SEPARATE_COMPILATION ASIO_DISABLE_STD_ALIGNED_ALLOC)
# Where GCC 12 inlines little, it takes asio's operator delete for a stranger to its operator new.
target_compile_options(asio PUBLIC -Wno-mismatched-new-delete)
# GCC's ThreadSanitizer does not know the fences that asio uses beside its own locks, and says so as a warning.
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=thread")
  target_compile_options(asio PUBLIC -Wno-tsan)
endif()
require_header(cli11 CLI/CLI.hpp libcli11-dev)
require_header(cpp_jwt jwt/jwt.hpp libcpp-jwt-dev)
require_header(nlohmann_json nlohmann/json.hpp nlohmann-json3-dev)

find_package(GTest)
if(NOT GTest_FOUND OR NOT TARGET GTest::gmock)
  message(FATAL_ERROR "GoogleTest is missing. Install it: apt-get install libgtest-dev libgmock-dev, or run ./tutorial setup")
endif()

# Runs the tests that are written in Python. CMake's own FindPython3 starts it five times, to ask for what only extensions need.
find_program(PYTHON3 python3)
if(NOT PYTHON3)
  message(FATAL_ERROR "Python is missing. Install it: apt-get install python3, or run ./tutorial setup")
endif()

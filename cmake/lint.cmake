# The target `lint` runs clang-tidy on every source of this project, `lint_<folder>` on those of one folder. A source that
# was clean is checked again when its object file is newer, that is when it or a header that it includes has changed.

# Version 14, Debian 12's default, can read neither coroutines nor std::views of GCC 12.
find_program(CLANG_TIDY NAMES clang-tidy-19 clang-tidy)

add_custom_target(lint)

# Adds the sources of all targets of a folder.
function(lint_folder folder)
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  get_property(binary_folder DIRECTORY ${folder} PROPERTY BINARY_DIR)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    if(NOT type MATCHES "EXECUTABLE|STATIC_LIBRARY")
      continue()
    endif()
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources INCLUDE REGEX "^[^/].*\\.cpp$")  # one with a whole path was made by CMake
    foreach(source IN LISTS sources)
      set(object ${binary_folder}/CMakeFiles/${target}.dir/${source}.o)
      # asio 1.22 knows clang's experimental coroutines only. Pistache has a template that clang 19 rejects unless it is used.
      # -Werror, which CI builds with, is for GCC's warnings.
      add_custom_command(OUTPUT ${object}.lint
        COMMAND ${CLANG_TIDY} -p ${CMAKE_BINARY_DIR} --quiet
          --extra-arg=-DASIO_HAS_CO_AWAIT --extra-arg=-DASIO_HAS_STD_COROUTINE
          --extra-arg=-fdelayed-template-parsing --extra-arg=-Wno-delayed-template-parsing-in-cxx20
          --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-error
          ${CMAKE_SOURCE_DIR}/${folder}/${source}
        COMMAND ${CMAKE_COMMAND} -E touch ${object}.lint
        DEPENDS ${object} ${CMAKE_SOURCE_DIR}/.clang-tidy
        COMMENT "clang-tidy ${folder}/${source}"
        VERBATIM)
      list(APPEND stamps ${object}.lint)
    endforeach()
  endforeach()
  add_custom_target(lint_${folder} DEPENDS ${stamps})
  add_dependencies(lint lint_${folder})
endfunction()

# Adds all folders that have targets. To be called after them.
function(lint_all_folders)
  get_property(folders DIRECTORY PROPERTY SUBDIRECTORIES)
  foreach(folder IN LISTS folders)
    cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${CMAKE_SOURCE_DIR})
    lint_folder(${folder})
  endforeach()
endfunction()

# Configures, builds and tests one preset: ctest -S tests/run.ctest.cmake [-DPRESET=asan] [-DLABEL=step3_ttl]
#
# PRESET  a configure preset (default: tutorial)
# LABEL   only the tests that bear this label (default: all)

cmake_minimum_required(VERSION 3.25)

if(NOT DEFINED PRESET)
  set(PRESET tutorial)
endif()
if(DEFINED LABEL)
  set(selection INCLUDE_LABEL "^${LABEL}$")
endif()

get_filename_component(CTEST_SOURCE_DIRECTORY ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
set(CTEST_BINARY_DIRECTORY ${CTEST_SOURCE_DIRECTORY}/build/${PRESET})
set(CTEST_CMAKE_GENERATOR Ninja)
set(CTEST_USE_LAUNCHERS OFF)
file(MAKE_DIRECTORY ${CTEST_BINARY_DIRECTORY})

# Ends the run and shows the newest log of that kind, for ctest itself only counts errors.
function(show_log_and_fail kind)
  file(GLOB logs ${CTEST_BINARY_DIRECTORY}/Testing/Temporary/Last${kind}_*.log)
  foreach(log IN LISTS logs)
    file(READ ${log} text)
    message("${text}")
  endforeach()
  message(FATAL_ERROR "${kind} failed")
endfunction()

ctest_start(Experimental)
ctest_configure(OPTIONS "--preset=${PRESET}" RETURN_VALUE failed)
if(failed)
  show_log_and_fail(Configure)
endif()
ctest_build(NUMBER_ERRORS errors RETURN_VALUE failed)
if(failed OR errors)
  show_log_and_fail(Build)
endif()
cmake_host_system_information(RESULT parallel QUERY NUMBER_OF_LOGICAL_CORES)
if(NOT PRESET STREQUAL "tutorial")
  # With a sanitizer all deadlines are longer, so most tests wait most of the time and none is disturbed.
  math(EXPR parallel "2 * ${parallel}")
endif()
ctest_test(${selection} PARALLEL_LEVEL ${parallel} RETURN_VALUE failed)
if(failed)
  message(FATAL_ERROR "tests failed")
endif()

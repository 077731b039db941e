# Configures, builds and tests one preset: ctest -S tests/run.ctest.cmake [-DPRESET=asan] [-DSTEP=step3_ttl] [-DLABEL=contributor]
#
# PRESET  a configure preset (default: tutorial)
# STEP    builds and runs only the tests of this step (default: all)
# LABEL   only the tests that bear this label (default: all that do not bear the label contributor)

cmake_minimum_required(VERSION 3.25)

if(NOT DEFINED PRESET)
  set(PRESET tutorial)
endif()
if(DEFINED LABEL)
  set(selection INCLUDE_LABEL "^${LABEL}$")
else()
  set(selection EXCLUDE_LABEL "^contributor$")
endif()
if(DEFINED STEP)
  list(APPEND selection INCLUDE_LABEL "^${STEP}$")
  set(target TARGET test_${STEP})
endif()
# A reader's compiler may warn of what ours does not know; what CI builds has to be clean.
if(DEFINED ENV{CI})
  set(strictness -DCMAKE_COMPILE_WARNING_AS_ERROR=ON)
  # A machine that stood still for seconds fails tests that are right. tests/report.py names each that needed a second try.
  set(repeat REPEAT UNTIL_PASS:2)
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
ctest_configure(OPTIONS "--preset=${PRESET};${strictness}" RETURN_VALUE failed)
if(failed)
  show_log_and_fail(Configure)
endif()
ctest_build(${target} NUMBER_ERRORS errors RETURN_VALUE failed)
if(failed OR errors)
  show_log_and_fail(Build)
endif()
# Most tests wait most of the time.
cmake_host_system_information(RESULT parallel QUERY NUMBER_OF_LOGICAL_CORES)
math(EXPR parallel "2 * ${parallel}")
ctest_test(${selection} ${repeat} PARALLEL_LEVEL ${parallel} OUTPUT_JUNIT ${CTEST_BINARY_DIRECTORY}/tests.xml RETURN_VALUE failed)
if(failed)
  message(FATAL_ERROR "tests failed")
endif()

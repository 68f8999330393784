# Functions that every folder's CMakeLists.txt uses.

# Warnings and sanitizers for a target of ours.
function(trainyard_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic)
  # Who only builds has other compilers than we have, and cannot mend what they warn of.
  if(TRAINYARD_BUILD_TESTS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  # GCC 12 warns of overlapping copies in `"text" + std::string` at -O3 that are not there (its bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
  endif()
  if(TRAINYARD_SANITIZE AND NOT ARGV1 STREQUAL "NO_SANITIZE")
    # Lines are what reports need; the rest of the debug information makes these builds longer.
    target_compile_options(${target} PRIVATE -fsanitize=${TRAINYARD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
    target_link_options(${target} PUBLIC -fsanitize=${TRAINYARD_SANITIZE})
  endif()
endfunction()

# trainyard_library(<folder> <sources>... [LIBS <libs>...]): the static library of one folder under lib/, as target ty_<folder>.
function(trainyard_library name)
  cmake_parse_arguments(ARG "" "" "LIBS" ${ARGN})
  add_library(ty_${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(ty_${name} PUBLIC ${PROJECT_SOURCE_DIR}/lib)
  target_link_libraries(ty_${name} PUBLIC ${ARG_LIBS} ty_build_id)
  trainyard_flags(ty_${name})
endfunction()

# trainyard_test(<name> <sources>... [LIBS <libs>...] [LABELS <labels>...] [TIMEOUT <s>]): a GoogleTest program, found by ctest as <name>.
# Labels: none = a unit test in milliseconds; e2e = real processes; slow = more than 10 s; bench is not a test.
function(trainyard_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LIBS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/lib ${PROJECT_SOURCE_DIR}/tests)
  trainyard_flags(${name})
  # Compilers take most of a test run's time. It is the library that is to be fast and free of undefined behaviour; of a test's own code,
  # lines for a backtrace and its memory errors are enough.
  target_compile_options(${name} PRIVATE -g1 -O0)
  if(TRAINYARD_SANITIZE MATCHES undefined)
    target_compile_options(${name} PRIVATE -fno-sanitize=undefined)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  # The cases' results, skipped ones among them, are read from this file (tests/results.sh).
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
    ENVIRONMENT_MODIFICATION "GTEST_OUTPUT=set:xml:${CMAKE_BINARY_DIR}/results/${name}.xml")
endfunction()

# trainyard_command_test(<name> COMMAND <command>... [LABELS <labels>...] [TIMEOUT <s>]): a test that is a program or script. Exit status 77
# and a line "SKIP: <why>" mean skipped.
function(trainyard_command_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "COMMAND;LABELS" ${ARGN})
  add_test(NAME ${name} COMMAND ${ARG_COMMAND})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}" SKIP_RETURN_CODE 77)
endfunction()

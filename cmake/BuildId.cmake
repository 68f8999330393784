# The build id: library, runner and engines of one build carry the same, and refuse each other when it differs.
#
# It is a hash of the version, what shapes the binaries (compiler, build type, sanitizers, LibTorch's version) and the contents of every header
# under lib/ and include/: the headers are what these parts share. Formats on disk have versions of their own. So it is the same when
# nothing shared changed (compiler caches stay warm, builds are reproducible), and differs whenever a stale part could misread another.
#
# Used twice: included at configure time, and by `cmake -P` at build time, when a header changed, to write build_id.cc.

if(CMAKE_SCRIPT_MODE_FILE)
  file(GLOB_RECURSE headers ${SOURCE_DIR}/lib/*.h ${SOURCE_DIR}/include/*.h)
  list(SORT headers)
  set(text "${SALT}")
  foreach(header ${headers})
    file(SHA256 ${header} digest)
    file(RELATIVE_PATH name ${SOURCE_DIR} ${header})
    string(APPEND text "\n${name} ${digest}")
  endforeach()
  string(SHA256 id "${text}")
  string(SUBSTRING ${id} 0 24 id)
  # Written only when it differs, so that nothing is rebuilt for nothing.
  file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[
// Written by cmake/BuildId.cmake.
#include "util/build_id.h"

namespace trainyard {
const char *BuildId() { return "@VERSION@-@id@"; }
}  // namespace trainyard
]] @ONLY)
  return()
endif()

file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lib/*.h ${PROJECT_SOURCE_DIR}/include/*.h)
set(TRAINYARD_BUILD_ID_SOURCE ${PROJECT_BINARY_DIR}/generated/build_id.cc)
string(CONCAT _salt "${PROJECT_VERSION} ${TRAINYARD_ABI_VERSION} ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} "
  "${CMAKE_SYSTEM_PROCESSOR} ${CMAKE_BUILD_TYPE} ${CMAKE_CXX_FLAGS} ${TRAINYARD_SANITIZE} ${TRAINYARD_TORCH_VERSION}")
set(_command ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION} "-DSALT=${_salt}"
  -DOUTPUT=${TRAINYARD_BUILD_ID_SOURCE} -P ${CMAKE_CURRENT_LIST_FILE})
add_custom_command(OUTPUT ${TRAINYARD_BUILD_ID_SOURCE}.stamp BYPRODUCTS ${TRAINYARD_BUILD_ID_SOURCE}
  COMMAND ${_command}
  COMMAND ${CMAKE_COMMAND} -E touch ${TRAINYARD_BUILD_ID_SOURCE}.stamp
  DEPENDS ${headers} ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "Build id" VERBATIM)
add_custom_target(trainyard_build_id DEPENDS ${TRAINYARD_BUILD_ID_SOURCE}.stamp)
add_library(ty_build_id STATIC ${TRAINYARD_BUILD_ID_SOURCE})
target_include_directories(ty_build_id PUBLIC ${PROJECT_SOURCE_DIR}/lib)
add_dependencies(ty_build_id trainyard_build_id)

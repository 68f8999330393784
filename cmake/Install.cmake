# Installing: headers, library, runtime directory, pkg-config file and CMake package. Everything names the others by relative
# paths, so the installed tree can be moved.
include(CMakePackageConfigHelpers)

# trainyard_install_library(<target>): the shared library, its version script, its SONAME and its package files.
function(trainyard_install_library target)
  set(map ${PROJECT_SOURCE_DIR}/lib/capi/trainyard.map)
  # nodelete: dlclose leaves the library where it is, so that what it keeps for the whole process is neither lost nor made twice.
  target_link_options(${target} PRIVATE -Wl,--version-script=${map} -Wl,--exclude-libs,ALL -Wl,-Bsymbolic-functions -Wl,-z,nodelete)
  if(NOT TRAINYARD_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,--no-undefined)
  endif()
  set_target_properties(${target} PROPERTIES LINK_DEPENDS ${map} SOVERSION ${TRAINYARD_ABI_VERSION} VERSION ${PROJECT_VERSION}
    EXPORT_NAME trainyard)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  if(NOT TARGET trainyard::trainyard)
    add_library(trainyard::trainyard ALIAS ${target})
  endif()

  install(TARGETS ${target} EXPORT trainyardTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/trainyard DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/trainyard)

  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/trainyard)
  install(EXPORT trainyardTargets NAMESPACE trainyard:: DESTINATION ${package_dir})
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/trainyardConfig.cmake.in ${PROJECT_BINARY_DIR}/generated/trainyardConfig.cmake
    INSTALL_DESTINATION ${package_dir})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/trainyardConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/generated/trainyardConfig.cmake ${PROJECT_BINARY_DIR}/generated/trainyardConfigVersion.cmake
    DESTINATION ${package_dir})

  # From <libdir>/pkgconfig to the prefix.
  file(RELATIVE_PATH TRAINYARD_PC_PREFIX "/p/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/p")
  configure_file(${PROJECT_SOURCE_DIR}/cmake/trainyard.pc.in ${PROJECT_BINARY_DIR}/generated/trainyard.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/generated/trainyard.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

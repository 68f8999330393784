# The runtime directory: what the library starts or loads (trainyard-runner, the engines) lies in libexec/trainyard, in the build tree as
# in the installed one, so that <directory of libtrainyard.so>/../libexec/trainyard is right in both.
set(TRAINYARD_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/libexec/trainyard)
set(TRAINYARD_RUNTIME_INSTALL_DIRECTORY ${CMAKE_INSTALL_LIBEXECDIR}/trainyard)
file(MAKE_DIRECTORY ${TRAINYARD_RUNTIME_OUTPUT_DIRECTORY})

# trainyard_runtime_target(<target>): an executable or plug-in of the runtime directory, built and installed there.
function(trainyard_runtime_target target)
  set_target_properties(${target} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${TRAINYARD_RUNTIME_OUTPUT_DIRECTORY}
    LIBRARY_OUTPUT_DIRECTORY ${TRAINYARD_RUNTIME_OUTPUT_DIRECTORY})
  install(TARGETS ${target}
    RUNTIME DESTINATION ${TRAINYARD_RUNTIME_INSTALL_DIRECTORY}
    LIBRARY DESTINATION ${TRAINYARD_RUNTIME_INSTALL_DIRECTORY} NAMELINK_SKIP)
endfunction()

# torch.path: one line, the directory of the LibTorch that the engine was built against. The loader reads it after
# TRAINYARD_TORCH_DIR and <runtime directory>/torch/lib.
if(TRAINYARD_BUILD_ENGINE)
  find_package(TrainyardTorch REQUIRED)
  file(CONFIGURE OUTPUT ${TRAINYARD_RUNTIME_OUTPUT_DIRECTORY}/torch.path CONTENT "${TRAINYARD_TORCH_LIB_DIR}\n")
  install(FILES ${TRAINYARD_RUNTIME_OUTPUT_DIRECTORY}/torch.path DESTINATION ${TRAINYARD_RUNTIME_INSTALL_DIRECTORY})
endif()

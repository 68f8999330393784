# The Python packages that runs find on their PYTHONPATH: bindings/python, in the runtime directory of the build tree as in the installed
# one. In the build tree they are links, so that a changed file is there at once.
set(_python ${TRAINYARD_RUNTIME_OUTPUT_DIRECTORY}/python)
file(MAKE_DIRECTORY ${_python})
foreach(package trainyard azureml_compat)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/bindings/python/${package} ${_python}/${package} SYMBOLIC)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/bindings/python/${package} DESTINATION ${TRAINYARD_RUNTIME_INSTALL_DIRECTORY}/python
    FILES_MATCHING PATTERN "*.py" PATTERN "__pycache__" EXCLUDE)
endforeach()

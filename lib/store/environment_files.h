// An environment as files in a directory, under the names that users of the Azure ML SDK know:
//
//   azureml_environment.json   {"name", "version", "environmentVariables",
//                               "python": {"interpreterPath", "userManagedDependencies"},
//                               "docker": {"enabled", "baseImage", "baseImageRegistry": {"address", "username"},
//                                          "shmSize", "arguments"},
//                               "trainyard": the whole definition but the texts of the two files below}
//   conda_dependencies.yml     the conda file; or, to read only, one made of the conda and pip packages
//   BaseDockerfile             the Dockerfile
//
// A directory that the SDK wrote has no "trainyard" member: then the members above are read, and others are left alone.
// Thread-safe.
#pragma once

#include <string>

#include "core/environment.h"

namespace trainyard {

// Makes the directory; existing files of these names are kAlreadyExists unless `overwrite`.
void SaveEnvironment(const Environment &environment, const std::string &directory, bool overwrite);
// Error kNotFound when there is no azureml_environment.json.
Environment LoadEnvironment(const std::string &directory);

}  // namespace trainyard

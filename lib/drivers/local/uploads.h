// What a folder that a user uploads holds. Thread-safe.
#pragma once

#include <string>
#include <vector>

namespace trainyard {

// The files below `directory` (`below` it, where that is given), relative to it, directory by directory in the order of
// their names; links to files are files. Nothing is left out: throws kInvalidArgument that names a link to a directory
// or to nothing, a pipe, a socket or a device.
std::vector<std::string> FilesToUpload(const std::string &directory, const std::string &below = "");

}  // namespace trainyard

// Files in directories that others change meanwhile, the ranks of a job above all: what is there may have become a link
// that leads elsewhere, or a pipe that never answers. Thread-safe.
#pragma once

#include <string>

#include "util/fs.h"

namespace trainyard {

// For reading: a regular file, reached through a link neither as itself nor as its directory; an invalid descriptor
// where there is none. Never waits.
UniqueFd OpenRegularFile(const std::string &path);

// With every link followed; empty when there is nothing, or no way to it.
std::string RealPath(const std::string &path);

// Whether `path`, which lies below `root` by its name, does so with every link followed, too. What does not exist yet
// goes by the directory that it would be made in.
bool LeadsInside(const std::string &root, const std::string &path);

}  // namespace trainyard

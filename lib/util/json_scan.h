// A strict reader of JSON grammar that builds nothing: cJSON, which builds the tree, takes more than JSON (NUL in
// strings, bad UTF-8, "01") and does not say where it stopped. Used by json.cc only. Thread-safe.
#pragma once

#include <string_view>

namespace trainyard {

// Throws Error::InvalidArgument "<source>:<line>:<column>: <what>".
void CheckJsonText(std::string_view text, std::string_view source, int max_depth);

}  // namespace trainyard

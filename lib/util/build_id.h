// What tells parts of one build from parts of another: libtrainyard.so, trainyard-runner and the engines carry it, and
// refuse a partner with another. Made by cmake/BuildId.cmake. Thread rule: a constant.
#pragma once

namespace trainyard {

// "<version>-<24 hex digits>".
const char *BuildId();

}  // namespace trainyard

// A run's metrics in the formats of other tools, over any driver. Memory stays bounded. Thread-safe.
#pragma once

#include <string>

#include "drivers/driver.h"

namespace trainyard {

// Event files that TensorBoard opens: the numbers, and the images it can show. One file per rank, each in a directory
// of its own ("rank_<n>"; "runner" for the supervisor's metrics), because TensorBoard takes a directory for a run; the
// one rank of a run that has no more goes into `directory` itself. A second export of the same run replaces the files.
void ExportTensorBoard(Driver *driver, const std::string &id, const std::string &directory);

// All numbers as text: a line "name,rank,step,time_ms,value", then one for each point, ordered by name, rank, and time
// of logging. RFC 4180 quoting, '\n' line ends, '.' as the decimal point whatever the locale, NaN, Infinity and
// -Infinity by name. The file appears whole; an existing one is replaced.
void ExportCsv(Driver *driver, const std::string &id, const std::string &path);

}  // namespace trainyard

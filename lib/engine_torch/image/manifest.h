// Manifests: a file that names images and what is known of them, instead of a folder per class. CSV or JSON lines; the
// format is described above the code that reads it (manifest.cc). What a label means, a class, several labels or a
// number, is the job's to say; here it is text.
//
// Thread rule: functions may run concurrently; a manifest is a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::image {

enum class Split { kNone, kTrain, kValidation, kTest };

enum class ManifestFormat { kCsv, kJsonLines };

struct ManifestRow {
  std::string path;
  std::vector<std::string> labels;  // as they are written: the one text of a cell, or the members of a list
  bool listed = false;              // they were a list
  Split split = Split::kNone;
  double weight = 1;
  size_t line = 0;  // of the file, from 1
};

struct ManifestLimits {
  size_t file_bytes = size_t{1} << 30;
  size_t row_bytes = size_t{1} << 20;
  size_t rows = 10'000'000;
};

struct Manifest {
  std::string path;       // of the file
  std::string directory;  // that the rows' paths are relative to; they are joined already
  std::vector<ManifestRow> rows;
  bool has_splits = false;         // each row says its own, or none does
  bool has_weights = false;        // some row says one
  std::vector<std::string> notes;  // what was ignored
};

// The file. Throws kNotFound, kPermission, kIo; kInvalidArgument "<path>:<line>: ..." for what cannot be read, naming
// the column. Whether the images exist is not looked at.
Manifest ReadManifest(const std::string &path, const ManifestLimits &limits = {});

// The same from memory. `path` names the file in errors and gives the directory.
Manifest ParseManifest(std::string_view text, ManifestFormat format, const std::string &path,
                       const ManifestLimits &limits = {});

// "<path>:<line>": how errors name a row.
std::string PlaceOf(const Manifest &manifest, const ManifestRow &row);

}  // namespace trainyard::image

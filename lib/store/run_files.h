// The files of a run under the names of the API: outputs/..., logs/..., user_logs/..., system_logs/..., images/...
// While the run runs outputs/ and logs/ are code/outputs and code/logs. azureml-logs/70_driver_log[_<rank>].txt is
// accepted for user_logs/std_log[_<rank>].txt, azureml-logs/20_image_build_log.txt for
// system_logs/environment_build.log. Symlinks to files are files where they stay in the run's directory, and are
// neither listed nor followed out of it; those to directories are not entered. A file whose name is no UTF-8 is not
// listed, and a warning says so. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/model.h"
#include "store/layout.h"

namespace trainyard {

struct FilePage {
  std::vector<StoredFile> files;  // sorted by path; sha256 empty
  std::string next_page_token;
};

class RunFiles {
 public:
  explicit RunFiles(RunLayout layout) : layout_(std::move(layout)) {}

  FilePage List(std::string_view prefix = {}, int32_t limit = 1000, std::string_view page_token = {}) const;
  // Path on disk of a name; Error kNotFound when absent, kInvalidArgument for a name that is none.
  std::string Resolve(std::string_view name) const;
  // Copies a local file in as outputs/... or logs/... (atomically; an existing one is replaced).
  void Upload(const std::string &local_path, std::string_view name) const;
  // Whether what would be uploaded as `name` finds anything there, be it a file or not (a link to nothing, a pipe).
  bool IsTaken(std::string_view name) const;
  // Whether the local file is the run's file of that name itself.
  bool IsSame(std::string_view name, const std::string &local_path) const;
  // Copies one file to `local_path` (a directory: under its base name).
  void Download(std::string_view name, const std::string &local_path) const;
  // Every file under `prefix` into `directory`, with its whole name below; answers how many.
  int64_t DownloadAll(std::string_view prefix, const std::string &directory) const;
  // A directory of outputs to register as a model, or a file: "outputs" or "outputs/x".
  std::string ResolveTree(std::string_view name) const;

 private:
  std::string Place(std::string_view name) const;
  std::string UploadPlace(std::string_view name) const;

  RunLayout layout_;
};

}  // namespace trainyard

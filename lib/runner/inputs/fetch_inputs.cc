#include "runner/inputs/fetch_inputs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/data_reference.h"
#include "runner/inputs/data_cache.h"
#include "runner/inputs/unpack.h"
#include "util/error.h"
#include "util/hash.h"
#include "util/http.h"
#include "util/log.h"
#include "util/url.h"

namespace trainyard {
namespace {

using GoOn = std::function<bool()>;

// It ends up in command lines: letters, digits, '.', '_' and '-' only. Of a longer name than file systems take, the
// end, which says what it is.
std::string FileNameOf(const std::string &url) {
  const std::string_view path = PathOfUrl(url);  // the host and what is before it are no name
  std::string name = path.empty() ? "" : BaseName(path);
  name = DecodePercent(name).value_or(name);
  for (char &c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '.' && c != '-') c = '_';
  }
  constexpr size_t kLongest = 200;
  if (name.size() > kLongest) name.erase(0, name.size() - kLongest);
  return name.find_first_not_of("._") == std::string::npos ? "data" : name;
}

void Link(const std::string &target, const std::string &path) {
  if (symlink(target.c_str(), path.c_str()) != 0) throw Error::FromErrno(errno, "create the symlink", path);
}

// A copy of files that are shared and read-only is the run's own, to be written to.
void MakeWritable(const std::string &path) {
  const auto info = Stat(path, false);
  if (info && info->kind == FileInfo::Kind::kFile) chmod(path.c_str(), info->mode | S_IWUSR);
  if (!info || info->kind != FileInfo::Kind::kDirectory) return;
  for (const std::string &name : ListTree(path)) MakeWritable(path + "/" + name);
}

class Fetcher {
 public:
  Fetcher(const Layout &workspace, std::string run_id, const GoOn &go_on)
      : workspace_(workspace), run_id_(std::move(run_id)), root_(workspace.Run(run_id_).Inputs()), go_on_(go_on) {
    MakeDirs(root_);
  }

  // Answers the path for the ranks.
  std::string Fetch(const std::string &name, const JobInput &input) {
    const std::string place = root_ + "/" + name;
    if (!input.IsUrl()) return PutInPlace(input.location, "", input.mode, place);
    if (input.sha256.empty()) return FetchOwn(name, input.location, place);
    const std::string file = FileNameOf(input.location);
    const bool archive = IsArchiveName(file);
    CachedData data = archive ? CacheArchive(input.location, input.sha256, workspace_, run_id_, go_on_)
                              : CacheFile(input.location, input.sha256, workspace_, go_on_);
    std::string path = PutInPlace(data.path, file, input.mode, place);
    fetched_.in_use.push_back(std::move(data.in_use));
    return path;
  }

  // What a text names that is no input.
  void Reads(const std::string &path) { fetched_.read_only.push_back(path); }
  FetchedInputs Take() { return std::move(fetched_); }

 private:
  // A directory becomes the place itself; a file keeps its name in it, or gets `name`.
  std::string PutInPlace(const std::string &data, const std::string &name, JobInput::Mode mode,
                         const std::string &place) {
    const auto info = Stat(data);
    if (!info) {
      throw Error::NotFound("'" + data +
                                "' was there when the job was submitted and is gone: put it back, and submit "
                                "the job again",
                            {{"path", data}});
    }
    std::string path = place;
    if (info->kind != FileInfo::Kind::kDirectory) {
      MakeDirs(place);
      path = JoinPath(place, name.empty() ? BaseName(data) : name);
    }
    if (mode == JobInput::Mode::kLink) {
      Link(data, path);
      fetched_.read_only.push_back(data);
      return path;
    }
    if (info->kind == FileInfo::Kind::kDirectory) {
      CopyTree(data, path, go_on_, workspace_.Root());
    } else {
      CopyFile(data, path);
    }
    MakeWritable(path);
    return path;
  }

  // Nobody says that two downloads are the same: for this run alone.
  std::string FetchOwn(const std::string &name, const std::string &url, const std::string &place) {
    const std::string shown = MaskCredentials(url), file_name = FileNameOf(url);
    MakeDirs(place);
    std::string file = JoinPath(place, file_name);
    DownloadOptions options;
    options.progress = [this](uint64_t, uint64_t) { return go_on_(); };
    Log(LogLevel::kWarning, "input '" + name + "': downloading " + shown + " without a SHA-256 to check it with");
    DownloadFile(url, file, options);
    fetched_.sha256[name] = Sha256File(file);
    if (!IsArchiveName(file_name)) return file;
    const std::string unpacked = place + ".new";
    UnpackArchive(file, shown, unpacked, run_id_, go_on_);
    RemoveTree(place);
    RenamePath(unpacked, place);
    return place;
  }

  const Layout &workspace_;
  const std::string run_id_, root_;
  const GoOn &go_on_;
  FetchedInputs fetched_;
};

}  // namespace

bool NeedsFetch(const Job &job) {
  return std::any_of(job.inputs.begin(), job.inputs.end(), [](const auto &entry) {
    return entry.second.mode == JobInput::Mode::kDownload || entry.second.IsUrl();
  });
}

FetchedInputs FetchInputs(Job *job, Store *store, const std::string &run_id, const GoOn &go_on) {
  Fetcher fetcher(store->layout(), run_id, go_on);
  std::map<std::string, std::string> paths;
  for (const auto &[name, input] : job->inputs) {
    try {
      paths[name] = fetcher.Fetch(name, input);
    } catch (const Error &error) {
      throw Error(error.status(), "input '" + name + "': " + error.what(), error.details());
    }
  }
  job->ForEachText([&](std::string *text) {
    *text = ExpandInputs(*text, paths);
    if (!IsDatastoreReference(*text)) return;
    *text = store->data().Locate(DataReference::Parse(*text)).path;
    if (PathExists(*text)) fetcher.Reads(*text);
  });
  for (const auto &[name, path] : paths) {
    for (const std::string &variable : InputVariables(name)) job->variables[variable] = path;
  }
  return fetcher.Take();
}

}  // namespace trainyard

// Datastores and data assets of a local workspace, and the inputs of a job before it is submitted.
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/data_reference.h"
#include "drivers/local/local_driver.h"
#include "drivers/local/preflight.h"
#include "drivers/local/uploads.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/inside.h"
#include "util/text.h"
#include "util/url.h"

namespace trainyard {
namespace {

// Makes the reference mean the same later and elsewhere: an absolute path, a version instead of "latest".
DataReference Settle(const std::string &source, Store *store) {
  DataReference reference = DataReference::Parse(source);
  if (reference.kind == DataReference::Kind::kPath) reference.path = AbsolutePath(reference.path);
  if (reference.kind == DataReference::Kind::kAsset) {
    reference.version = store->data().Asset(reference.name, reference.version).version;
  }
  return reference;
}

// What can be known of a place now; a server is asked when the run starts.
void CheckThere(const DataReference &place, const std::string &source) {
  const bool is_file_url = place.url.starts_with("file:");
  if (place.kind == DataReference::Kind::kUrl && !is_file_url) return;
  const std::string path = is_file_url ? DataReference::Parse(place.url).path : place.path;
  const auto info = Stat(path);
  if (!info) {
    const std::string meant = path == source ? "" : ", which is what '" + source + "' means";
    throw Error::NotFound(
        "there is nothing at '" + path + "'" + meant + ": check the name, or put the data there first",
        {{"path", path}});
  }
  if (info->kind != FileInfo::Kind::kFile && info->kind != FileInfo::Kind::kDirectory) {
    throw Error::InvalidArgument("'" + path + "' is neither a file nor a directory: give one that holds the data",
                                 {{"path", path}});
  }
  if (is_file_url && info->kind != FileInfo::Kind::kFile) {
    throw Error::InvalidArgument("'" + path +
                                     "' is a directory, and a file URL with a hash is of one file: give the directory "
                                     "as a path, or the URL of an archive of it",
                                 {{"path", path}});
  }
  if (access(path.c_str(), R_OK) != 0) throw Error::FromErrno(errno, "read", path);
}

void CheckInside(const std::string &root, const std::string &directory) {
  if (LeadsInside(root, directory)) return;
  throw Error::InvalidArgument("'" + directory + "' leads out of the datastore's directory '" + root +
                                   "' through a link: choose another target, or register where it leads as a "
                                   "datastore of its own; nothing was uploaded",
                               {{"path", directory}});
}

void CheckFree(const std::string &path, bool overwrite) {
  const auto there = Stat(path, /*follow_symlinks=*/false);
  if (!there || (overwrite && there->kind != FileInfo::Kind::kDirectory)) return;
  throw Error(Status::kAlreadyExists,
              "'" + path + "' exists already" +
                  (overwrite ? " as a directory: nothing was uploaded; choose another target"
                             : ": nothing was uploaded; allow overwriting"),
              {{"path", path}});
}

}  // namespace

std::vector<Error> SettleInputs(Job *job, Store *store) {
  std::vector<Error> problems;
  std::map<std::string, std::string> paths;
  for (auto &[name, input] : job->inputs) {
    paths[name] = "";
    try {
      const DataReference reference = Settle(input.source, store);
      const DataReference place = store->data().Locate(reference);
      input.source = reference.Print();
      input.location = place.kind == DataReference::Kind::kUrl ? place.url : place.path;
      input.sha256 = place.sha256;
      CheckThere(place, input.source);
    } catch (const Error &error) {
      problems.emplace_back(error.status(), "input '" + name + "': " + error.what(), error.details());
    }
  }
  job->ForEachText([&](const std::string *text) {
    try {
      ExpandInputs(*text, paths);
      if (IsDatastoreReference(*text)) store->data().Locate(DataReference::Parse(*text));
    } catch (const Error &error) {
      problems.push_back(error);
    }
  });
  return problems;
}

void ThrowAll(const std::vector<Error> &problems) {
  if (problems.empty()) return;
  std::vector<std::string> texts;
  for (const Error &problem : problems) texts.emplace_back(problem.what());
  throw Error(problems[0].status(), Join(texts, "; "), problems[0].details());
}

void LocalDriver::RegisterDatastore(const std::string &name, const std::string &directory) {
  if (directory.empty()) {
    throw Error::InvalidArgument("the directory of datastore '" + name + "' is empty: name one that exists");
  }
  const std::string absolute = AbsolutePath(directory);
  if (!IsDirectory(absolute)) {
    throw Error::NotFound("the directory '" + absolute + "' for datastore '" + name + "' does not exist",
                          {{"path", absolute}});
  }
  store()->data().RegisterDatastore(name, absolute);
}

std::string LocalDriver::DatastoreDirectory(const std::string &name) {
  return store()->data().DatastoreDirectory(name);
}

std::vector<std::string> LocalDriver::ListDatastores() {
  return store()->data().Datastores();
}

void LocalDriver::DeleteDatastore(const std::string &name) {
  store()->data().DeleteDatastore(name);
}

void LocalDriver::UploadToDatastore(const std::string &name, const std::string &path, const std::string &target,
                                    bool overwrite) {
  if (!target.empty() && !IsSafeRelativePath(target)) {
    throw Error::InvalidArgument("the target '" + target + "' must be a path inside the datastore");
  }
  const std::string root = store()->data().DatastoreDirectory(name);
  if (!IsDirectory(root)) {
    throw Error::NotFound("the directory '" + root + "' of datastore '" + name +
                              "' is gone: mount it, or delete the datastore and register it anew",
                          {{"path", root}, {"datastore", name}});
  }
  const std::string to = target.empty() ? root : JoinPath(root, target);
  const auto info = Stat(path);
  if (!info) throw Error::NotFound("there is nothing at '" + path + "' to upload", {{"path", path}});
  std::vector<std::pair<std::string, std::string>> copies;
  if (info->kind == FileInfo::Kind::kDirectory) {
    for (const std::string &file : FilesToUpload(path)) copies.emplace_back(JoinPath(path, file), JoinPath(to, file));
  } else {
    copies.emplace_back(path, JoinPath(to, BaseName(path)));
  }
  // All that can be known to fail does so before the first file is there.
  std::string inside;  // the directory that was found to be last
  for (const auto &[source, destination] : copies) {
    if (access(source.c_str(), R_OK) != 0) throw Error::FromErrno(errno, "read", source);
    if (const std::string parent = ParentPath(destination); parent != inside) {
      CheckInside(root, parent);
      inside = parent;
    }
    CheckFree(destination, overwrite);
  }
  for (const auto &[source, destination] : copies) {
    MakeDirs(ParentPath(destination), 0755);
    CopyFile(source, destination, /*replace=*/true);
  }
}

DataAsset LocalDriver::RegisterData(const DataAsset &given) {
  DataAsset asset = given;
  const DataReference reference = DataReference::Parse(asset.source);
  if (reference.kind == DataReference::Kind::kAsset) {
    throw Error::InvalidArgument("data asset '" + asset.name + "' cannot stand for another asset: name its source");
  }
  if (HasCredentials(asset.source)) {
    throw Error::InvalidArgument("data asset '" + asset.name + "' would keep the credentials of '" +
                                 MaskCredentials(asset.source) +
                                 "' in the workspace: register a URL without, or give it to each job as an input");
  }
  const DataReference settled = Settle(asset.source, store().get());
  asset.source = settled.Print();
  CheckThere(store()->data().Locate(settled), asset.source);
  return store()->data().RegisterAsset(asset);
}

void LocalDriver::DeleteData(const std::string &name, int64_t version) {
  store()->data().DeleteAsset(name, version);
}

DataAsset LocalDriver::GetData(const std::string &name, int64_t version) {
  return store()->data().Asset(name, version);
}

std::vector<std::string> LocalDriver::ListData() {
  return store()->data().Assets();
}

std::vector<int64_t> LocalDriver::ListDataVersions(const std::string &name) {
  return store()->data().AssetVersions(name);
}

}  // namespace trainyard

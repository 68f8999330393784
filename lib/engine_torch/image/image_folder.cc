#include "engine_torch/image/image_folder.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <iterator>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "engine_torch/image/image.h"
#include "util/error.h"

namespace trainyard::image {
namespace {

constexpr std::string_view kExtensions[] = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};

std::string ExtensionList() {
  std::string list;
  for (std::string_view extension : kExtensions) {
    list.append(list.empty() ? "" : " ").append(extension);
  }
  return list;
}

using FileId = std::pair<dev_t, ino_t>;

struct Listing {
  FileId id;
  std::vector<std::string> directories;  // sorted, links to directories among them
  std::vector<std::string> files;        // sorted, everything else
};

Listing List(const std::string &path) {
  std::unique_ptr<DIR, int (*)(DIR *)> directory(opendir(path.c_str()), closedir);
  struct stat status {};
  if (directory == nullptr || fstat(dirfd(directory.get()), &status) != 0) {
    throw Error::FromErrno(errno, "read the image folder", path);
  }
  Listing listing;
  listing.id = {status.st_dev, status.st_ino};
  while (true) {
    errno = 0;
    const dirent *entry = readdir(directory.get());
    if (entry == nullptr) {
      if (errno != 0) {
        throw Error::FromErrno(errno, "read the image folder", path);
      }
      break;
    }
    std::string name = entry->d_name;
    if (name == "." || name == "..") {
      continue;
    }
    // A link that leads nowhere is a file to os.walk, and then an unreadable sample: the decoder names it.
    bool is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
      is_directory = stat((path + "/" + name).c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    }
    (is_directory ? listing.directories : listing.files).push_back(std::move(name));
  }
  std::sort(listing.directories.begin(), listing.directories.end());
  std::sort(listing.files.begin(), listing.files.end());
  return listing;
}

// Collects the images of one class.
class Walker {
 public:
  Walker(int64_t label, std::vector<Sample> *samples) : label_(label), samples_(samples) {}

  // Every folder that os.walk(followlinks=True) visits, in the order of torchvision's sorted(os.walk()): by full path,
  // so "a-b" comes before "a/b".
  void Walk(const std::string &top) {
    Visit(top);
    std::sort(folders_.begin(), folders_.end());
    for (const auto &[folder, files] : folders_) {
      for (const std::string &file : files) {
        samples_->push_back({.path = folder + "/" + file, .label = label_});
      }
    }
  }

 private:
  void Visit(const std::string &path) {
    Listing listing = List(path);
    if (std::find(above_.begin(), above_.end(), listing.id) != above_.end()) {
      throw Error::InvalidArgument(
          "the image folder '" + path + "' is a link to a folder that holds it; remove the link", {{"path", path}});
    }
    std::erase_if(listing.files, [](const std::string &name) { return !HasImageExtension(name); });
    folders_.emplace_back(path, std::move(listing.files));
    above_.push_back(listing.id);
    for (const std::string &name : listing.directories) {
      Visit(path + "/" + name);
    }
    above_.pop_back();
  }

  int64_t label_;
  std::vector<Sample> *samples_;
  std::vector<std::pair<std::string, std::vector<std::string>>> folders_;
  std::vector<FileId> above_;
};

}  // namespace

bool HasImageExtension(const std::string &name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(std::begin(kExtensions), std::end(kExtensions),
                     [&](std::string_view extension) { return std::string_view(lower).ends_with(extension); });
}

std::string RelativeName(const ImageFolder &folder, const Sample &sample) {
  const bool below = sample.path.starts_with(folder.root + "/");
  return below ? sample.path.substr(folder.root.size() + 1) : sample.path;
}

ImageFolder ReadImageFolder(const std::string &root) {
  ImageFolder folder;
  folder.root = root;
  while (folder.root.size() > 1 && folder.root.back() == '/') {
    folder.root.pop_back();
  }
  folder.classes = List(folder.root).directories;
  if (folder.classes.empty()) {
    throw Error::NotFound(
        "no class folder in '" + root + "'; put the images of each class into a folder of its own there",
        {{"path", root}});
  }
  std::string empty;
  size_t empty_count = 0;
  for (size_t label = 0; label < folder.classes.size(); ++label) {
    size_t before = folder.samples.size();
    Walker(static_cast<int64_t>(label), &folder.samples).Walk(folder.root + "/" + folder.classes[label]);
    if (folder.samples.size() == before) {
      empty.append(empty.empty() ? "" : ", ").append(folder.classes[label]);
      ++empty_count;
    }
  }
  if (!empty.empty()) {
    throw Error::NotFound(
        std::string(empty_count == 1 ? "no image in the class folder " : "no image in the class folders ") + empty +
            " of '" + root + "'; the extensions are " + ExtensionList() + "; add images or remove the folder",
        {{"path", root}, {"classes", empty}});
  }
  return folder;
}

std::vector<BadImage> CheckImages(const std::vector<Sample> &samples, int threads,
                                  const std::function<bool(size_t done, size_t total)> &on_progress) {
  std::vector<BadImage> bad;
  std::mutex mutex;  // guards bad and done, and orders on_progress
  std::atomic<size_t> next = 0;
  std::atomic<bool> stop = false;
  size_t done = 0;
  auto work = [&] {
    ByteBuffer bytes;
    Image image;
    for (size_t i = next++; i < samples.size() && !stop; i = next++) {
      BadImage finding = {i, samples[i].path, "", true};
      try {
        ReadImageFile(samples[i].path, &bytes);
        ImageReader reader(bytes, samples[i].path);
        reader.Decode(&image);
        finding.reason = reader.warning();
        finding.fatal = false;
      } catch (const Error &error) {
        finding.reason = error.what();
      } catch (const std::exception &error) {  // out of memory
        finding.reason = "cannot decode '" + samples[i].path + "': " + error.what();
      }
      std::lock_guard<std::mutex> lock(mutex);
      if (!finding.reason.empty()) {
        bad.push_back(std::move(finding));
      }
      ++done;
      if (on_progress && !on_progress(done, samples.size())) {
        stop = true;
      }
    }
  };
  size_t count = std::clamp<size_t>(static_cast<size_t>(std::max(threads, 1)), 1, std::max<size_t>(samples.size(), 1));
  std::vector<std::jthread> workers;  // joined on every way out
  for (size_t i = 1; i < count; ++i) {
    workers.emplace_back(work);
  }
  work();
  workers.clear();
  std::sort(bad.begin(), bad.end(), [](const BadImage &a, const BadImage &b) { return a.index < b.index; });
  return bad;
}

}  // namespace trainyard::image

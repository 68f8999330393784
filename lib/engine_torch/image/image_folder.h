// Image folders with torchvision's ImageFolder rules: one sub-folder per class, classes numbered in the order of their
// sorted names; every file below with an image extension is a sample of that class. Samples come in ImageFolder's
// order.
//
// Thread rule: functions may run concurrently; a folder is a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace trainyard::image {

// One image and what is known of it: its class, several labels (in ascending order, each once; perhaps none), or a
// number.
struct Sample {
  std::string path;
  int64_t label = 0;                 // -1: it has not one class
  std::vector<int32_t> labels = {};  // of several
  double value = 0;                  // the number
  double weight = 1;                 // how much more often than others it is drawn, where that is asked for
};

// Images with the names of their classes. A manifest gives the same, with its directory as root.
struct ImageFolder {
  std::string root;
  std::vector<std::string> classes;  // classes[label] is the folder's name
  std::vector<Sample> samples;
};

// Names are compared as bytes (for UTF-8 that is the order of Python's sorted()). Symbolic links are followed; one that
// leads back to a folder above itself is an error. Throws kNotFound (no such folder, no class folder, a class without
// images: named, with the extensions looked for), kPermission or kIo (a folder that cannot be read).
ImageFolder ReadImageFolder(const std::string &root);

// The sample's path below the root; the whole path when it is elsewhere.
std::string RelativeName(const ImageFolder &folder, const Sample &sample);

// True for .jpg .jpeg .png .ppm .bmp .pgm .tif .tiff .webp, in any case.
bool HasImageExtension(const std::string &name);

struct BadImage {
  size_t index = 0;  // in the samples given
  std::string path;
  std::string reason;  // one line
  bool fatal = true;   // false: it decodes, with damage that Pillow does not report either
};

// Decodes every sample completely, in `threads` threads of its own (at least 1), and returns the bad ones by index.
// `on_progress(done, total)` is called from those threads, one call at a time; it must not throw; returning false ends
// the check early.
std::vector<BadImage> CheckImages(const std::vector<Sample> &samples, int threads,
                                  const std::function<bool(size_t done, size_t total)> &on_progress = {});

}  // namespace trainyard::image

// Unpacking an archive: whatever it says, nothing appears outside of its folder.
#include <unistd.h>

#include <cstdlib>

#include "fuzz/fuzz.h"
#include "runner/inputs/unpack.h"
#include "runner/tar_entry.h"
#include "util/error.h"
#include "util/fs.h"

using trainyard::TarEntry;
using trainyard::TarOf;

extern "C" void TrainyardFuzzSetUp(trainyard::fuzz::Corpus *corpus) {
  corpus->seeds = {
      TarOf(TarEntry("a/b", '0', "content") + TarEntry("a/hard", '1', "", "a/b") + TarEntry("a/soft", '2', "", "b")),
      TarOf(TarEntry("d", '2', "", ".") + TarEntry("d/e", '0', "x") + TarEntry("f/", '5')),
      TarOf(TarEntry("../x", '0', "x")), TarOf(TarEntry("up", '2', "", "..") + TarEntry("up/x", '1', "", "up"))};
  corpus->dictionary = {
      "../",   "/",         "./",          "..", std::string("ustar\0", 6) + "00", "PK\x03\x04", "GNU.sparse.map=",
      "path=", "linkpath=", "\x1f\x8b\x08"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const trainyard::TempDir directory("trainyard-unpack-fuzz");
  const std::string root = directory.path(), archive = root + "/archive", folder = root + "/outer/folder";
  trainyard::WriteFileAtomic(archive, std::string_view(reinterpret_cast<const char *>(data), size), 0600, false);
  trainyard::RemoveTree(folder);
  trainyard::MakeDirs(folder);
  if (chdir(folder.c_str()) != 0) abort();
  try {
    trainyard::UnpackHere(archive, "fuzz", {.max_entries = 100, .max_ratio = 0, .min_bytes = 1 << 20});
  } catch (const trainyard::Error &) {
  }
  if (chdir("/") != 0) abort();
  const bool alone = trainyard::ListDir(root).size() == 2 && trainyard::ListDir(root + "/outer").size() == 1;
  if (!alone) abort();
  return 0;
}

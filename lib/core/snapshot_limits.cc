#include "core/snapshot_limits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>

#include "core/ignore_rules.h"

namespace trainyard {
namespace {

// A part that makes up this share of a directory is the offender, not the directory.
constexpr double kDominates = 0.7;
// So many files of one kind side by side are one offender.
constexpr uint64_t kManyFiles = 20;
// What weighs less than this share of a limit is nobody's problem; and less than the second, once the rest would be
// within the limits without what is named already.
constexpr double kNegligible = 0.01, kNegligibleWithin = 0.1;

struct Directory {
  std::map<std::string, std::unique_ptr<Directory>, std::less<>> directories;
  std::vector<std::pair<std::string, uint64_t>> files;
  uint64_t bytes = 0, count = 0;  // of everything below
};

Directory MakeTree(const std::vector<SizedPath> &files) {
  Directory root;
  for (const SizedPath &file : files) {
    Directory *at = &root;
    std::string_view rest = file.path;
    for (;;) {
      at->bytes += file.bytes;
      ++at->count;
      const size_t slash = rest.find('/');
      if (slash == std::string_view::npos) break;
      auto &next = at->directories[std::string(rest.substr(0, slash))];
      if (!next) next = std::make_unique<Directory>();
      at = next.get();
      rest = rest.substr(slash + 1);
    }
    at->files.emplace_back(rest, file.bytes);
  }
  return root;
}

// Something that could be named, and the directory behind it when it is one.
struct Candidate {
  Offender offender;
  double weight = 0;
  std::string path;
  const Directory *directory = nullptr;
};

// Made by a tool as a whole: to leave out a part of it makes no sense.
bool IsWhole(const Candidate &candidate) {
  if (candidate.directory == nullptr) return false;
  constexpr std::array<std::string_view, 9> kNames = {"node_modules", "site-packages", "venv",   ".venv", "wandb",
                                                      "mlruns",       ".tox",          ".cache", ".git"};
  const std::string_view name = std::string_view(candidate.path).substr(candidate.path.rfind('/') + 1);
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  const Directory &directory = *candidate.directory;
  if (directory.directories.contains("conda-meta")) return true;
  return std::any_of(directory.files.begin(), directory.files.end(),
                     [](const auto &file) { return file.first == "pyvenv.cfg"; });
}

class Finder {
 public:
  Finder(const Directory &root, const SnapshotLimits &limits) {
    if (limits.max_bytes != 0 && root.bytes > limits.max_bytes) byte_ = 1 / static_cast<double>(limits.max_bytes);
    if (limits.max_files != 0 && root.count > limits.max_files) file_ = 1 / static_cast<double>(limits.max_files);
    if (byte_ == 0 && file_ == 0) byte_ = file_ = 1;  // nothing is exceeded: the largest of both kinds
  }

  std::vector<Candidate> PartsOf(const Directory &directory, const std::string &path) const {
    std::vector<Candidate> parts;
    const std::string prefix = path.empty() ? "" : path + "/";
    for (const auto &[name, child] : directory.directories) {
      const std::string full = prefix + name;
      parts.push_back(Make({full + "/", IgnoreLineFor(full, true), child->bytes, child->count}, full, child.get()));
    }
    std::map<std::string, Offender> kinds;
    for (const auto &[name, bytes] : directory.files) {
      Offender &kind = kinds[Extension(name)];
      kind.bytes += bytes;
      ++kind.files;
    }
    for (const auto &[name, bytes] : directory.files) {
      const std::string extension = Extension(name);
      if (!extension.empty() && kinds[extension].files >= kManyFiles) continue;
      parts.push_back(Make({prefix + name, IgnoreLineFor(prefix + name, false), bytes, 1}, prefix + name, nullptr));
    }
    for (const auto &[extension, kind] : kinds) {
      if (extension.empty() || kind.files < kManyFiles) continue;
      std::string line = path.empty() ? "/" : IgnoreLineFor(path, true);
      line += "*" + IgnoreLineFor(extension, false).substr(1);
      parts.push_back(Make({prefix + "*" + extension, line, kind.bytes, kind.files}, path, nullptr));
    }
    return parts;
  }

  // The parts that stand for the candidate when it is better to name them.
  std::vector<Candidate> Split(const Candidate &candidate) const {
    if (candidate.directory == nullptr || IsWhole(candidate)) return {};
    std::vector<Candidate> parts = PartsOf(*candidate.directory, candidate.path);
    const auto heavy = [&](const Candidate &part) { return part.weight >= kDominates * candidate.weight; };
    // All of it in one part below is no better name than the directory's own, unless it can be told even better there.
    if (std::none_of(parts.begin(), parts.end(), heavy)) return {};
    if (parts.size() == 1 && !IsWhole(parts[0])) {
      std::vector<Candidate> deeper = Split(parts[0]);
      return deeper.size() > 1 ? deeper : std::vector<Candidate>();
    }
    return parts;
  }

 private:
  static std::string Extension(const std::string &name) {
    const size_t dot = name.rfind('.');
    return dot == std::string::npos || dot == 0 ? "" : name.substr(dot);
  }

  Candidate Make(Offender offender, std::string path, const Directory *directory) const {
    const double weight =
        std::max(static_cast<double>(offender.bytes) * byte_, static_cast<double>(offender.files) * file_);
    return {std::move(offender), weight, std::move(path), directory};
  }

  double byte_ = 0, file_ = 0;  // what a byte and a file weigh
};

bool Heavier(const Candidate &a, const Candidate &b) {
  return a.weight > b.weight || (a.weight == b.weight && a.offender.name < b.offender.name);
}

}  // namespace

Json SnapshotLimits::ToJson() const {
  return Json::Object().Set("max_bytes", max_bytes).Set("max_files", max_files);
}

SnapshotLimits SnapshotLimits::FromJson(const Json &json) {
  json.CheckKeys({"max_bytes", "max_files"});
  SnapshotLimits limits;
  if (const auto value = json.Find("max_bytes")) limits.max_bytes = value->AsUint64();
  if (const auto value = json.Find("max_files")) limits.max_files = value->AsUint64();
  return limits;
}

std::vector<Offender> FindOffenders(const std::vector<SizedPath> &files, const SnapshotLimits &limits, size_t most) {
  const Directory root = MakeTree(files);
  const Finder finder(root, limits);
  std::vector<Candidate> open = finder.PartsOf(root, ""), found;
  std::make_heap(open.begin(), open.end(), [](const auto &a, const auto &b) { return Heavier(b, a); });
  uint64_t bytes = root.bytes, count = root.count;  // without what was found
  while (!open.empty() && found.size() < most) {
    std::pop_heap(open.begin(), open.end(), [](const auto &a, const auto &b) { return Heavier(b, a); });
    Candidate heaviest = std::move(open.back());
    open.pop_back();
    std::vector<Candidate> parts = finder.Split(heaviest);
    const double least = limits.Allow(bytes, count) ? kNegligibleWithin : kNegligible;
    if (heaviest.weight < least && !found.empty()) break;
    if (parts.empty()) {
      bytes -= heaviest.offender.bytes;
      count -= heaviest.offender.files;
      found.push_back(std::move(heaviest));
      continue;
    }
    for (Candidate &part : parts) {
      open.push_back(std::move(part));
      std::push_heap(open.begin(), open.end(), [](const auto &a, const auto &b) { return Heavier(b, a); });
    }
  }
  std::vector<Offender> offenders;
  for (Candidate &candidate : found) offenders.push_back(std::move(candidate.offender));
  return offenders;
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  constexpr std::array<const char *, 5> kUnits = {" KB", " MB", " GB", " TB", " PB"};
  size_t unit = 0;
  auto tenths = static_cast<uint64_t>(std::llround(static_cast<double>(bytes) / 1024 * 10));
  while (tenths >= 10240 && unit + 1 < kUnits.size()) {
    tenths = (tenths + 512) / 1024;
    ++unit;
  }
  std::string text = std::to_string(tenths / 10);
  if (tenths < 1000 && tenths % 10 != 0) text += "." + std::to_string(tenths % 10);
  return text + kUnits[unit];
}

}  // namespace trainyard

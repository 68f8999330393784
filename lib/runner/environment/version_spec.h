// Conditions on a version as conda and pip write them ("3.11", "=3.11", "==3.11.*", ">=3.8,<3.12", "~=2.1"), asked of a
// minor version: whether any release of it fits. Thread rule: a value.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

struct MinorVersion {
  int major = 0, minor = 0;
  auto operator<=>(const MinorVersion &) const = default;  // NOLINT(modernize-use-nullptr): a false alarm
  std::string Text() const { return std::to_string(major) + "." + std::to_string(minor); }
};
// "3.11.2" -> 3.11; {0, 0} for what is no version.
MinorVersion ParseMinorVersion(std::string_view text);

class VersionSpec {
 public:
  // An empty text allows everything. What is not understood allows everything: whoever installs knows better.
  explicit VersionSpec(std::string_view text);
  bool Allows(const MinorVersion &version) const;

 private:
  struct Condition {
    std::string op;
    std::vector<int> version;
  };
  std::vector<Condition> conditions_;
};

// "torch", "==1.6" of "torch==1.6"; "conda-forge::pytorch", "=1.6" of "conda-forge::pytorch=1.6=cuda"; names in lower
// case, with '-' for '_' and '.'.
struct PackageSpec {
  std::string name, version;
};
PackageSpec ParsePackage(std::string_view text);

// The known releases of PyTorch that have wheels for this Python; empty for a Python that is not known.
std::vector<MinorVersion> TorchReleasesFor(const MinorVersion &python);
// Whether releases that are not known yet may have wheels for it, too.
bool GetsNewTorch(const MinorVersion &python);

// The one nearest to what the conditions ask for: the first that is asked for when it is a plain version. Empty without
// candidates.
std::string NearestVersion(std::string_view spec, const std::vector<MinorVersion> &candidates);

}  // namespace trainyard

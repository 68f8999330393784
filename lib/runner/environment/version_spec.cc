#include "runner/environment/version_spec.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "util/text.h"

namespace trainyard {
namespace {

// Which releases of PyTorch have Linux wheels (x86-64, with the GIL) for a Python. Read from the file names of PyPI's
// project "torch", release by release, on 2026-11-21.
struct TorchRow {
  MinorVersion python, first_torch, last_torch;
};
constexpr MinorVersion kNewestTorch = {2, 15};  // a later one is left to pip
constexpr std::array<TorchRow, 11> kTorchWheels = {{
    {{3, 5}, {1, 0}, {1, 5}},
    {{3, 6}, {1, 0}, {1, 10}},
    {{3, 7}, {1, 0}, {1, 13}},
    {{3, 8}, {1, 4}, {2, 4}},
    {{3, 9}, {1, 7}, {2, 8}},  // from 1.7.1 on
    {{3, 10}, {1, 11}, {2, 14}},
    {{3, 11}, {1, 13}, kNewestTorch},
    {{3, 12}, {2, 2}, kNewestTorch},
    {{3, 13}, {2, 5}, kNewestTorch},
    {{3, 14}, {2, 9}, kNewestTorch},
    {{3, 15}, {2, 15}, kNewestTorch},
}};
constexpr int kLastTorch1 = 13;

const TorchRow *RowOf(const MinorVersion &python) {
  const auto *row = std::find_if(kTorchWheels.begin(), kTorchWheels.end(),
                                 [&](const TorchRow &candidate) { return candidate.python == python; });
  return row == kTorchWheels.end() ? nullptr : row;
}

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// "1.13.1+cpu" -> {1, 13, 1}; "3.*" -> {3}.
std::vector<int> Numbers(std::string_view text) {
  std::vector<int> numbers;
  for (const std::string_view part : Split(text, '.')) {
    size_t length = 0;
    while (length < part.size() && IsDigit(part[length])) ++length;
    const auto number = ParseInt64(part.substr(0, length));
    if (!number || *number > 1000000) break;
    numbers.push_back(static_cast<int>(*number));
    if (length != part.size()) break;
  }
  return numbers;
}

// How a minor version compares with the first two numbers of a condition.
int Compare(const MinorVersion &version, const std::vector<int> &numbers) {
  if (version.major != numbers[0]) return version.major < numbers[0] ? -1 : 1;
  if (numbers.size() < 2 || version.minor == numbers[1]) return 0;
  return version.minor < numbers[1] ? -1 : 1;
}

}  // namespace

MinorVersion ParseMinorVersion(std::string_view text) {
  const std::vector<int> numbers = Numbers(text);
  if (numbers.empty()) return {};
  return {numbers[0], numbers.size() > 1 ? numbers[1] : 0};
}

VersionSpec::VersionSpec(std::string_view text) {
  for (std::string_view part : Split(text, ',')) {
    part = Trim(part);
    const size_t start = part.find_first_not_of("<>=!~ ");
    if (start == std::string_view::npos) continue;
    Condition condition{std::string(Trim(part.substr(0, start))), Numbers(part.substr(start))};
    if (!condition.version.empty()) conditions_.push_back(std::move(condition));
  }
}

bool VersionSpec::Allows(const MinorVersion &version) const {
  return std::all_of(conditions_.begin(), conditions_.end(), [&](const Condition &condition) {
    const std::vector<int> &numbers = condition.version;
    const int order = Compare(version, numbers);
    const bool names_patch = numbers.size() > 2;
    if (condition.op == ">=") return order >= 0;
    if (condition.op == ">") return order > 0 || (order == 0 && (names_patch || numbers.size() < 2));
    if (condition.op == "<=") return order <= 0;
    if (condition.op == "<") return order < 0 || (order == 0 && names_patch && numbers[2] > 0);
    if (condition.op == "!=") return order != 0 || names_patch;
    if (condition.op == "~=") return names_patch ? order == 0 : order >= 0 && version.major == numbers[0];
    return order == 0;  // "", "=", "=="
  });
}

PackageSpec ParsePackage(std::string_view text) {
  if (const size_t channel = text.find("::"); channel != std::string_view::npos) text.remove_prefix(channel + 2);
  text = Trim(text.substr(0, text.find(';')));  // without the environment marker
  const size_t end = text.find_first_of(" <>=!~[@");
  PackageSpec spec;
  spec.name = LowerAscii(text.substr(0, end));
  std::replace_if(
      spec.name.begin(), spec.name.end(), [](char c) { return c == '_' || c == '.'; }, '-');
  if (end == std::string_view::npos) return spec;
  std::string_view rest = text.substr(end);
  if (rest.front() == '[') rest.remove_prefix(std::min(rest.size(), rest.find(']') + 1));
  rest = Trim(rest);
  // conda's third part is a build: "=1.6=cuda".
  const size_t version = rest.find_first_not_of("<>=!~ ");
  const size_t build = version == std::string_view::npos ? version : rest.find('=', version);
  const bool has_build = build != std::string_view::npos && rest.substr(0, build).find(',') == std::string_view::npos;
  spec.version = Trim(has_build ? rest.substr(0, build) : rest);
  return spec;
}

std::vector<MinorVersion> TorchReleasesFor(const MinorVersion &python) {
  std::vector<MinorVersion> releases;
  const TorchRow *row = RowOf(python);
  if (row == nullptr) return releases;
  for (MinorVersion release = row->first_torch; release <= row->last_torch;) {
    releases.push_back(release);
    release =
        release == MinorVersion{1, kLastTorch1} ? MinorVersion{2, 0} : MinorVersion{release.major, release.minor + 1};
  }
  return releases;
}

bool GetsNewTorch(const MinorVersion &python) {
  const TorchRow *row = RowOf(python);
  return row == nullptr || row->last_torch == kNewestTorch;
}

std::string NearestVersion(std::string_view spec, const std::vector<MinorVersion> &candidates) {
  if (candidates.empty()) return "";
  const size_t start = spec.find_first_of("0123456789");
  const MinorVersion wanted = start == std::string_view::npos ? MinorVersion() : ParseMinorVersion(spec.substr(start));
  const auto place = [](const MinorVersion &version) { return version.major * 1000 + version.minor; };
  const auto distance = [&](const MinorVersion &version) { return std::abs(place(version) - place(wanted)); };
  return std::min_element(candidates.begin(), candidates.end(),
                          [&](const MinorVersion &a, const MinorVersion &b) { return distance(a) < distance(b); })
      ->Text();
}

}  // namespace trainyard

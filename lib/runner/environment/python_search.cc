#include "runner/environment/python_search.h"

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int kNewestMinor = 30;
constexpr int kOldestMinor = 5;

// pyenv and the like put a program of every version in PATH, of which only some work: each has to be run.
constexpr char kQuestion[] = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)";

std::string Conditions(const Definition &definition) {
  std::vector<std::string> texts;
  for (const Requirement &requirement : definition.python) texts.push_back("'" + requirement.text + "'");
  return Join(texts, " and ");
}

[[noreturn]] void FailWithNearest(BuildTools *tools, const Definition &definition) {
  std::vector<MinorVersion> there;
  for (int minor = kNewestMinor; minor >= kOldestMinor; --minor) {
    const std::string name = "python3." + std::to_string(minor);
    if (!FindInPath(name).empty() && ProbePython(tools, name)) there.push_back({3, minor});
  }
  if (there.empty()) {
    if (const auto python = ProbePython(tools, "python3")) there.push_back(ParseMinorVersion(python->version));
  }
  if (there.empty()) {
    throw Error::InvalidArgument(
        "there is no Python in PATH to make the environment with: install python3 and python3-venv");
  }
  const Requirement &first = definition.python.front();
  const std::string nearest = NearestVersion(ParsePackage(first.text).version, there);
  throw Error::InvalidArgument(first.where + " asks for Python (" + Conditions(definition) +
                               "), which is not in PATH; the nearest there is Python " + nearest + ": write python=" +
                               nearest + ", install the other one, or install micromamba or use a container image");
}

}  // namespace

std::optional<PythonProgram> ProbePython(BuildTools *tools, const std::string &program) {
  const std::string path = FindInPath(program);
  if (path.empty()) return std::nullopt;
  BuildTools::Options options;
  options.quiet = true;
  BuildTools::Result result;
  try {
    result = tools->Run({path, "-c", kQuestion}, options);
  } catch (const Error &error) {
    if (error.status() == Status::kCanceled) throw;
    return std::nullopt;
  }
  const auto lines = Split(result.output, '\n');
  if (!result.ok() || lines.size() < 2 || ParseMinorVersion(lines[0]).major == 0) return std::nullopt;
  return PythonProgram{std::string(lines[1].empty() ? std::string_view(path) : lines[1]), std::string(lines[0])};
}

std::optional<PythonProgram> LookForPython(BuildTools *tools, const Definition &definition) {
  const auto fits = [&](const std::optional<PythonProgram> &python) {
    return python && definition.AllowsPython(ParseMinorVersion(python->version));
  };
  if (auto python = ProbePython(tools, "python3"); fits(python)) return python;
  for (int minor = kNewestMinor; minor >= kOldestMinor; --minor) {
    const std::string name = "python3." + std::to_string(minor);
    if (!definition.AllowsPython({3, minor}) || FindInPath(name).empty()) continue;
    if (auto python = ProbePython(tools, name); fits(python)) return python;
  }
  return std::nullopt;
}

PythonProgram SearchPython(BuildTools *tools, const Definition &definition) {
  if (auto python = LookForPython(tools, definition)) return *python;
  FailWithNearest(tools, definition);
}

}  // namespace trainyard

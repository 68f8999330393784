#include "drivers/local/git_source.h"

#include <algorithm>
#include <vector>

#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr uint64_t kMaxSmallFile = 1 << 20;
constexpr uint64_t kMaxPackedRefs = uint64_t{256} << 20;
constexpr int kMaxSymbolicRefs = 5;
constexpr size_t kMaxProperty = 1000;

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char &c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// The first line, without white space around it; empty when there is no such file.
std::string ReadLine(const std::string &path) {
  const auto info = Stat(path);
  if (!info || info->kind != FileInfo::Kind::kFile) return "";
  const std::string text = ReadFile(path, kMaxSmallFile);
  return std::string(Trim(std::string_view(text).substr(0, text.find('\n'))));
}

bool IsObjectName(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Where the repository keeps its things: the own ones of a work tree (HEAD), and those that all work trees share
// (config, branches).
struct GitDirectories {
  std::string own, common;
};

std::string Beside(const std::string &directory, const std::string &path) {
  return AbsolutePath(path.starts_with('/') ? path : JoinPath(directory, path));
}

std::optional<GitDirectories> FindRepository(std::string directory) {
  for (;; directory = ParentPath(directory)) {
    const std::string git = JoinPath(directory, ".git");
    if (const auto info = Stat(git)) {
      GitDirectories found{git, ""};
      if (info->kind == FileInfo::Kind::kFile) {  // of a linked work tree or a submodule
        constexpr std::string_view kPrefix = "gitdir:";
        const std::string line = ReadLine(git);
        if (!line.starts_with(kPrefix)) return std::nullopt;
        found.own = Beside(directory, std::string(Trim(line.substr(kPrefix.size()))));
      }
      if (!PathExists(found.own + "/HEAD")) return std::nullopt;
      const std::string common = ReadLine(found.own + "/commondir");
      found.common = common.empty() ? found.own : Beside(found.own, common);
      return found;
    }
    if (directory == "/") return std::nullopt;
  }
}

std::string FindPackedRef(const std::string &path, const std::string &ref) {
  const auto info = Stat(path);
  if (!info || info->kind != FileInfo::Kind::kFile) return "";
  const std::string text = ReadFile(path, kMaxPackedRefs);
  const std::string wanted = " " + ref + "\n";
  for (size_t at = text.find(wanted); at != std::string::npos; at = text.find(wanted, at + 1)) {
    const size_t line = text.rfind('\n', at) + 1;  // npos + 1 is 0
    const std::string_view name = std::string_view(text).substr(line, at - line);
    if (IsObjectName(name)) return std::string(name);
  }
  return "";
}

// Follows HEAD to the branch and its commit.
void ReadHead(const GitDirectories &git, GitSource *source) {
  constexpr std::string_view kRef = "ref:";
  constexpr std::string_view kHeads = "refs/heads/";
  std::string value = ReadLine(git.own + "/HEAD");
  for (int i = 0; i < kMaxSymbolicRefs && value.starts_with(kRef); ++i) {
    const std::string ref(Trim(value.substr(kRef.size())));
    if (!IsSafeRelativePath(ref)) return;
    if (ref.starts_with(kHeads) && ref != "refs/heads/.invalid") source->branch = ref.substr(kHeads.size());
    value = ReadLine(git.own + "/" + ref);
    if (value.empty()) value = ReadLine(git.common + "/" + ref);
    if (value.empty()) value = FindPackedRef(git.common + "/packed-refs", ref);
  }
  if (IsObjectName(value)) source->commit = value;
}

std::string RemoteUrl(const std::map<std::string, std::string> &config, const std::string &branch) {
  const auto get = [&](const std::string &key) {
    const auto value = config.find(key);
    return value == config.end() ? std::string() : value->second;
  };
  std::string url = get("remote." + get("branch." + branch + ".remote") + ".url");
  if (url.empty()) url = get("remote.origin.url");
  if (!url.empty()) return url;
  for (const auto &[key, value] : config) {
    if (!key.starts_with("remote.") || !key.ends_with(".url")) continue;
    if (!url.empty()) return "";  // several, and none that is meant
    url = value;
  }
  return url;
}

// [section "subsection"] -> "section.subsection."; empty when it is no such line.
std::string ParseSection(std::string_view line) {
  const size_t end = line.rfind(']');
  if (end == std::string_view::npos) return "";
  const std::string_view inside = Trim(line.substr(1, end - 1));
  const size_t quote = inside.find('"');
  if (quote == std::string_view::npos) return Lower(inside) + ".";
  std::string name = Lower(Trim(inside.substr(0, quote))) + ".";
  for (size_t i = quote + 1; i < inside.size() && inside[i] != '"'; ++i) {
    if (inside[i] == '\\' && i + 1 < inside.size()) ++i;
    name += inside[i];
  }
  return name + ".";
}

// Up to a comment; quotes and backslashes resolved.
std::string ParseValue(std::string_view text) {
  std::string value;
  size_t keep = 0;  // white space at the end goes, but not what was quoted
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"') {
      quoted = !quoted;
      continue;
    }
    if (!quoted && (c == '#' || c == ';')) break;
    const bool blank = c == ' ' || c == '\t';
    if (c == '\\' && i + 1 < text.size()) {
      c = text[++i];
      if (c == 'n') c = '\n';
      if (c == 't') c = '\t';
    }
    value += c;
    if (quoted || !blank) keep = value.size();
  }
  value.resize(keep);
  return value;
}

}  // namespace

std::map<std::string, std::string> ParseGitConfig(std::string_view text) {
  std::map<std::string, std::string> values;
  std::string section;
  while (!text.empty()) {
    std::string joined;
    for (bool more = true; more && !text.empty();) {  // a backslash at the end takes the next line in
      const size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
      if (line.ends_with('\r')) line.remove_suffix(1);
      more = line.ends_with('\\') && !line.ends_with("\\\\");
      joined += more ? line.substr(0, line.size() - 1) : line;
    }
    std::string_view line = Trim(joined);
    if (line.starts_with('[')) {
      section = ParseSection(line);
      continue;
    }
    const size_t equals = line.find('=');
    if (section.empty() || line.empty() || line[0] == '#' || line[0] == ';' || equals == std::string_view::npos)
      continue;
    values[section + Lower(Trim(line.substr(0, equals)))] = ParseValue(Trim(line.substr(equals + 1)));
  }
  return values;
}

std::string WithoutCredentials(std::string_view url) {
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return std::string(url);  // a path, or user@host:path
  const std::string scheme = Lower(url.substr(0, scheme_end));
  const size_t start = scheme_end + 3;
  const size_t authority_end = std::min(url.find_first_of("/?#", start), url.size());
  std::string_view authority = url.substr(start, authority_end - start);
  std::string user;
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view info = authority.substr(0, at);
    if (scheme == "ssh" || scheme == "git+ssh") user = std::string(info.substr(0, info.find(':'))) + "@";
    authority = authority.substr(at + 1);
  }
  std::string_view rest = url.substr(authority_end);
  if (scheme != "file") rest = rest.substr(0, rest.find_first_of("?#"));
  return std::string(url.substr(0, start)) + user + std::string(authority) + std::string(rest);
}

std::optional<GitSource> FindGitSource(const std::string &directory) {
  try {
    const auto git = FindRepository(AbsolutePath(directory));
    if (!git) return std::nullopt;
    GitSource source;
    ReadHead(*git, &source);
    const auto config = ReadFileIfExists(git->common + "/config", kMaxSmallFile);
    if (config) source.url = WithoutCredentials(RemoteUrl(ParseGitConfig(*config), source.branch));
    return source;
  } catch (const Error &error) {
    Log(LogLevel::kInfo, std::string("the git repository of the source is not looked at: ") + error.what());
    return std::nullopt;
  }
}

std::map<std::string, std::string> GitProperties(const GitSource &source) {
  std::map<std::string, std::string> properties;
  const auto set = [&](const char *azureml, const char *mlflow, const std::string &value) {
    if (value.empty() || value.size() > kMaxProperty || !IsValidUtf8(value)) return;
    properties[std::string("azureml.git.") + azureml] = value;
    properties[std::string("mlflow.source.git.") + mlflow] = value;
  };
  set("repository_uri", "repoURL", source.url);
  set("branch", "branch", source.branch);
  set("commit", "commit", source.commit);
  return properties;
}

}  // namespace trainyard

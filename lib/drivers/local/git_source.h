// The git repository that a source directory lies in, read from its files: no program is started in the host. What
// needs git itself, whether the files differ from the commit, the run's supervisor finds out (runner/git_status.h).
// Thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace trainyard {

inline constexpr char kGitCommitProperty[] = "azureml.git.commit";

struct GitSource {
  std::string url;     // of the remote that the branch follows, else of "origin" or the only one; no credentials in it
  std::string branch;  // empty: none is checked out
  std::string commit;  // empty: there is none yet
};

// nullopt: no repository there, or none that can be read.
std::optional<GitSource> FindGitSource(const std::string &directory);

// azureml.git.repository_uri, .branch, .commit and their mlflow.source.git names; what is not known is left out.
std::map<std::string, std::string> GitProperties(const GitSource &source);

// A remote's address without user name, password and query: "https://token@host/a.git" -> "https://host/a.git". The
// user of an ssh address stays: it is no secret and belongs to it.
std::string WithoutCredentials(std::string_view url);

// The values of a git configuration file: "remote.origin.url" -> the last one set. Section and key in lower case.
std::map<std::string, std::string> ParseGitConfig(std::string_view text);

}  // namespace trainyard

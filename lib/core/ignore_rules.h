// Which paths of a directory stay out of a snapshot: the lines of .gitignore and .amlignore files, with git's meaning.
//
// A line is a pattern; the last line that matches decides. '#' starts a comment, a leading '!' takes a path back in,
// spaces at the end go unless escaped, a backslash takes the next character as it is. A pattern with a '/' at its start
// or in its middle is matched against the path from the file's own directory, any other against the name alone; a '/'
// at the end matches directories only. '*' and '?' match within a name, '**/' any number of whole directories, '/**'
// everything below, [a-z], [!a-z] and [[:digit:]] one character. A file deeper in the tree outranks one above it, and
// nothing below an ignored directory can come back: whoever walks the tree does not enter it.
//
// Thread rule: values; const functions may run concurrently.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/wild_pattern.h"

namespace trainyard {

// The lines of one file.
class IgnoreFile {
 public:
  enum class Verdict { kNone, kIgnored, kKept };

  static IgnoreFile Parse(std::string_view text);
  // `path` is relative to the directory that the file lies in.
  Verdict Match(std::string_view path, bool directory) const;

 private:
  struct Line {
    bool negative = false;
    bool directories_only = false;
    bool name_only = false;  // matched against the last part of a path
    WildPattern pattern;
  };
  std::vector<Line> lines_;
};

// The files that apply at one place of a tree walk, outermost first.
class IgnoreRules {
 public:
  // The walk comes to `directory` (relative to its root; "" = the root): files that lie beside the way are dropped.
  void Enter(std::string_view directory);
  // A file that lies in `directory`.
  void Push(std::string directory, IgnoreFile file) { levels_.push_back({std::move(directory), std::move(file)}); }
  // `path` is relative to the root of the walk; its parent directories are not ignored.
  bool Ignores(std::string_view path, bool directory) const;

 private:
  struct Level {
    std::string directory;
    IgnoreFile file;
  };
  std::vector<Level> levels_;
};

// The line that ignores exactly `path` (relative to the root, where the line is to stand): "/data/", "/odd\*name".
std::string IgnoreLineFor(std::string_view path, bool directory);

}  // namespace trainyard

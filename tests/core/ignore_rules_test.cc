// Ignore files mean here what they mean to git. The tables say what git says, and where there is a git it is asked
// itself: by these tables, and by patterns made at random.
#include "core/ignore_rules.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

// Ignore files by the directory they lie in; "" = the root.
using Files = std::map<std::string, std::string>;

// As a walk decides: from the root on, and nothing below an ignored directory comes back.
bool Ignored(const Files &files, const std::string &path, bool directory) {
  IgnoreRules rules;
  for (size_t end = 0;; ++end) {
    const std::string parent = path.substr(0, end == 0 ? 0 : end - 1);
    if (const auto file = files.find(parent); file != files.end()) rules.Push(parent, IgnoreFile::Parse(file->second));
    end = path.find('/', end);
    if (end == std::string::npos) return rules.Ignores(path, directory);
    if (rules.Ignores(path.substr(0, end), true)) return true;
  }
}

struct Case {
  Files files;
  std::vector<std::string> ignored, kept;  // a '/' at the end: a directory
};

const std::vector<Case> &Table() {
  static const std::vector<Case> kCases = {
      {{{"", "*.pyc\n"}}, {"a.pyc", "x/y/b.pyc", ".pyc"}, {"a.py", "a.pyc2"}},
      {{{"", "data\n"}}, {"data", "x/data", "data/", "x/data/", "data/sub/f"}, {"data2", "xdata"}},
      {{{"", "data/\n"}}, {"data/", "x/data/", "x/data/f"}, {"data", "x/data"}},
      {{{"", "/data\n"}}, {"data", "data/f"}, {"x/data"}},
      {{{"", "x/data\n"}}, {"x/data", "x/data/f"}, {"y/x/data", "data"}},
      {{{"", "**/data\n"}}, {"data", "x/data", "x/y/data"}, {"xdata"}},
      {{{"", "x/**\n"}}, {"x/a", "x/y/z"}, {"x/", "a/x"}},
      {{{"", "x/**/z\n"}}, {"x/z", "x/y/z", "x/y/w/z"}, {"xz", "x/yz"}},
      {{{"", "x/*/z\n"}}, {"x/y/z"}, {"x/z", "x/y/w/z"}},
      {{{"", "x/*.txt\n"}}, {"x/a.txt"}, {"x/y/a.txt", "a.txt"}},
      {{{"", "a**b\n"}}, {"ab", "axxb", "x/ab"}, {"a/b"}},
      {{{"", "a?c\n"}}, {"abc", "a.c"}, {"ac", "abbc"}},
      {{{"", "[a-c]x\n"}}, {"ax", "cx"}, {"dx", "-x"}},
      {{{"", "[!a-c]x\n"}}, {"dx"}, {"ax"}},
      {{{"", "[^a]x\n"}}, {"bx"}, {"ax"}},
      {{{"", "[]a]x\n"}}, {"]x", "ax"}, {"bx"}},
      {{{"", "[a-]x\n"}}, {"ax", "-x"}, {"bx"}},
      {{{"", "v[[:digit:]]\n"}}, {"v1"}, {"vv"}},
      {{{"", "v[[:nope:]]\n"}}, {}, {"v1", "v["}},
      {{{"", "[ab\n"}}, {}, {"[ab", "a"}},
      {{{"", "*.log\n!keep.log\n"}}, {"a.log"}, {"keep.log", "x/keep.log"}},
      {{{"", "!keep.log\n*.log\n"}}, {"keep.log"}, {}},
      {{{"", "data/\n!data/keep\n"}}, {"data/", "data/keep"}, {}},
      {{{"", "data/*\n!data/keep\n"}}, {"data/other"}, {"data/", "data/keep"}},
      {{{"", "/*\n!/src\n/src/*\n!/src/a.py\n"}}, {"b", "src/b.py"}, {"src/", "src/a.py"}},
      {{{"", "# data\n\n   \n\\#name\n\\!name\n"}}, {"#name", "!name"}, {"data", "name", "   "}},
      {{{"", "name   \nspace\\ \n"}}, {"name", "space "}, {"name ", "space"}},
      {{{"", "tab\t\n"}}, {"tab\t"}, {"tab"}},
      {{{"", "windows\r\nother\r\n"}}, {"windows", "other"}, {"windows\r"}},
      {{{"", "\xEF\xBB\xBFmark\n"}}, {"mark"}, {}},
      {{{"", "back\\\\slash\nst\\*r\n"}}, {"back\\slash", "st*r"}, {"star"}},
      {{{"", "end\\"}}, {}, {"end", "end\\"}},
      {{{"", "no-newline"}}, {"no-newline"}, {}},
      {{{"", "/\n!\n//\n"}}, {}, {"a", "x/"}},
      {{{"", "*\n"}}, {"a", "x/"}, {}},
      {{{"", "*/\n"}}, {"x/", "x/a"}, {"a"}},
      {{{"", "*.txt\n"}, {"x", "!*.txt\n"}}, {"a.txt", "y/a.txt"}, {"x/a.txt", "x/y/a.txt"}},
      {{{"", "x/\n"}, {"x", "!*\n"}}, {"x/", "x/a"}, {}},
      {{{"x", "/a\n"}}, {"x/a"}, {"a", "x/y/a"}},
      {{{"x", "y/a\n"}}, {"x/y/a"}, {"y/a", "x/x/y/a"}},
      {{{"", "a\n"}, {"x", "!a\n"}, {"x/y", "a\n"}}, {"a", "x/y/a", "x/y/z/a"}, {"x/a"}},
  };
  return kCases;
}

TEST(IgnoreRules, FollowTheTable) {
  for (const Case &row : Table()) {
    std::string text;
    for (const auto &[directory, lines] : row.files) text += directory + ": " + lines;
    for (const bool ignored : {true, false}) {
      for (const std::string &path : ignored ? row.ignored : row.kept) {
        const bool directory = path.ends_with('/');
        EXPECT_EQ(Ignored(row.files, directory ? path.substr(0, path.size() - 1) : path, directory), ignored)
            << text << "and the path " << path;
      }
    }
  }
}

TEST(IgnoreRules, TimeIsBoundedWhateverThePattern) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  EXPECT_FALSE(Ignored({{"", pattern + "b\n"}}, std::string(2000, 'a'), false));
  EXPECT_TRUE(Ignored({{"", pattern + "\n"}}, std::string(2000, 'a'), false));
}

TEST(IgnoreLine, IgnoresExactlyItsPath) {
  for (const std::string name :
       {"data", "a b", "end  ", "st*r", "wh?t", "[x]", "back\\slash", "#c", "!d", "x/y z/w "}) {
    const Files files = {{"", IgnoreLineFor(name, false) + "\n"}};
    EXPECT_TRUE(Ignored(files, name, false)) << files.at("");
    EXPECT_FALSE(Ignored(files, "q/" + name, false)) << files.at("");
    EXPECT_FALSE(Ignored(files, name + "x", false)) << files.at("");
    EXPECT_FALSE(Ignored({{"", IgnoreLineFor(name, true) + "\n"}}, name, false)) << name;
    EXPECT_TRUE(Ignored({{"", IgnoreLineFor(name, true) + "\n"}}, name + "/below", false)) << name;
  }
  EXPECT_EQ(IgnoreLineFor("data", true), "/data/");
}

// A repository in which each case has a directory of its own, so that git is started once.
class GitTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("git --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no git to compare with";
    ASSERT_EQ(std::system(Git("init -q").c_str()), 0);
  }
  std::string Git(const std::string &arguments) const {
    return "cd '" + directory_.path() + "' && env -u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE HOME='" +
           directory_.path() + "' GIT_CONFIG_NOSYSTEM=1 XDG_CONFIG_HOME='" + directory_.path() + "' git " + arguments;
  }
  // Adds the case; a path that cannot be there beside the others is left out. Files need not exist for git to judge
  // them, directories must.
  void Add(const Files &files, const std::vector<std::string> &paths) {
    const std::string prefix = "case" + std::to_string(cases_.size()) + "/";
    cases_.push_back({prefix, files, {}});
    MakeDirs(directory_.path() + "/" + prefix);
    for (const std::string &path : paths) AddPath(prefix, path);
    for (const auto &[where, lines] : files) {
      const std::string target = directory_.path() + "/" + prefix + where;
      if (IsDirectory(target)) AppendFile(target + "/.gitignore", lines);
    }
  }
  void AddPath(const std::string &prefix, const std::string &path) {
    std::set<std::string> &all = cases_.back().paths;
    for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      if (all.contains(path.substr(0, slash))) return;  // a file is there
    }
    const std::string target = directory_.path() + "/" + prefix + path;
    if (!path.ends_with('/') && IsDirectory(target)) return;
    MakeDirs(path.ends_with('/') ? target.substr(0, target.size() - 1) : ParentPath(target));
    all.insert(path);
  }
  void Compare() {
    std::string input;
    for (const auto &made : cases_) {
      for (const std::string &path : made.paths) {
        input += made.prefix + (path.ends_with('/') ? path.substr(0, path.size() - 1) : path) + '\0';
      }
    }
    WriteFileAtomic(directory_.path() + "/input", input, 0644, false);
    std::set<std::string> git;
    FILE *pipe = popen(Git("check-ignore --no-index -z --stdin <input").c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string output;
    std::array<char, 4096> buffer{};
    for (size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.append(buffer.data(), n);
    pclose(pipe);
    for (const std::string_view path : Split(output, '\0')) git.insert(std::string(path));
    size_t count = 0, ignored = 0;
    for (const auto &made : cases_) {
      for (const std::string &path : made.paths) {
        const bool directory = path.ends_with('/');
        const std::string plain = directory ? path.substr(0, path.size() - 1) : path;
        const bool says = git.contains(made.prefix + plain);
        std::string text;
        for (const auto &[where, lines] : made.files) text += where + ": " + lines;
        EXPECT_EQ(Ignored(made.files, plain, directory), says) << text << "and the path '" << path << "'";
        ++count;
        ignored += says ? 1 : 0;
      }
    }
    EXPECT_GT(ignored, count / 20) << "git was not really asked";
    EXPECT_LT(ignored, count);
  }

  struct Made {
    std::string prefix;
    Files files;
    std::set<std::string> paths;
  };
  TempDir directory_{"trainyard-ignore-test"};
  std::vector<Made> cases_;
};

TEST_F(GitTest, SaysWhatTheTableSays) {
  for (const Case &row : Table()) {
    std::vector<std::string> paths = row.ignored;
    paths.insert(paths.end(), row.kept.begin(), row.kept.end());
    Add(row.files, paths);
  }
  Compare();
}

TEST_F(GitTest, AgreesOnPatternsMadeAtRandom) {
  const std::vector<std::string> paths = {
      "a",        "b",      "ab",    "abc",    "a.py",  "x/",      "x/a",       "x/b/",    "x/b/a",  "x/b/ab.py",
      "x/y/z/a",  "y/",     "y/x/b", "y/ab/c", "foo b", "foo ",    "#c",        "!d",      "a]",     "-",
      "x/y/a.py", "z/b/x/", "z/a",   "z/ab",   "b.d/a", "b.d/.py", "x/b/x/b/a", "back\\s", "star*a", "q?",
  };
  const std::vector<std::string> parts = {"a",     "b",           "x", "y", "z",    "ab",  ".py", "*",    "*",  "**",
                                          "?",     "/",           "/", "/", "[ab]", "**/", "/**", "[!a]", "\\", " ",
                                          "[a-z]", "[[:alpha:]]", "]", "-", "c",    "#",   "!",   "[x-]", ".d", "[]a]"};
  std::mt19937 random(20240611);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cases each time
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (int i = 0; i < 60; ++i) {
    Files files;
    for (const char *where : {"", "x", "x/b"}) {
      if (*where != '\0' && below(3) != 0) continue;
      std::string lines;
      for (size_t line = 0; line <= below(4); ++line) {
        if (below(4) == 0) lines += "!";
        for (size_t part = 0; part <= below(6); ++part) lines += parts[below(parts.size())];
        lines += "\n";
      }
      files[where] = lines;
    }
    Add(files, paths);
  }
  Compare();
}

}  // namespace
}  // namespace trainyard

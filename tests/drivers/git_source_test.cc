// What is read of a repository, compared with what git itself says.
#include "drivers/local/git_source.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

TEST(GitConfig, IsReadAsGitReadsIt) {
  const auto values = ParseGitConfig(
      "# comment\n[core]\n\tbare = false ; comment\n[remote \"origin\"]\n  url = \"https://host/a b.git\" # x\r\n"
      "\tFetch = +refs/heads/*:refs/remotes/origin/*\n[remote \"we\\\"ird\"]\nurl=one\\\ntwo\n[Branch \"Main\"]\n"
      "remote = origin\nurl\n[broken\nx = y\n");
  EXPECT_EQ(values.at("core.bare"), "false");
  EXPECT_EQ(values.at("remote.origin.url"), "https://host/a b.git");
  EXPECT_EQ(values.at("remote.origin.fetch"), "+refs/heads/*:refs/remotes/origin/*");
  EXPECT_EQ(values.at("remote.we\"ird.url"), "onetwo");
  EXPECT_EQ(values.at("branch.Main.remote"), "origin");
  EXPECT_TRUE(ParseGitConfig("").empty());
}

TEST(GitUrl, CredentialsGo) {
  EXPECT_EQ(WithoutCredentials("https://token@github.com/o/r.git"), "https://github.com/o/r.git");
  EXPECT_EQ(WithoutCredentials("https://user:pa@ss@host:8443/o/r"), "https://host:8443/o/r");
  EXPECT_EQ(WithoutCredentials("https://host/o/r?access_token=x#y"), "https://host/o/r");
  EXPECT_EQ(WithoutCredentials("ssh://git:secret@host/o/r"), "ssh://git@host/o/r");
  EXPECT_EQ(WithoutCredentials("git@github.com:o/r.git"), "git@github.com:o/r.git");
  EXPECT_EQ(WithoutCredentials("/srv/git/r.git"), "/srv/git/r.git");
  EXPECT_EQ(WithoutCredentials("file:///srv/a?b"), "file:///srv/a?b");
  EXPECT_EQ(WithoutCredentials(""), "");
}

class GitSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("git --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no git to compare with";
    Git("repo", "init -q -b trunk .");
    WriteFileAtomic(Path("repo/a.py"), "a");
    MakeDirs(Path("repo/src/deep"));
  }
  std::string Path(const std::string &name) const { return directory_.path() + "/" + name; }
  std::string Git(const std::string &where, const std::string &arguments) const {
    MakeDirs(Path(where));
    FILE *pipe = popen(("cd '" + Path(where) +
                        "' && env -u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE GIT_CONFIG_NOSYSTEM=1 HOME=/nowhere "
                        "git -c user.name=n -c user.email=e@e -c protocol.file.allow=always " +
                        arguments + " 2>&1")
                           .c_str(),
                       "r");
    std::string output;
    std::array<char, 4096> buffer{};
    for (size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.append(buffer.data(), n);
    EXPECT_EQ(pclose(pipe), 0) << arguments << ": " << output;
    return std::string(Trim(output));
  }
  void Commit(const std::string &where = "repo") {
    Git(where, "add -A");
    Git(where, "commit -q --allow-empty -m m");
  }
  std::string Head(const std::string &where = "repo") const { return Git(where, "rev-parse HEAD"); }

  TempDir directory_{"trainyard-git-test"};
};

TEST_F(GitSourceTest, BranchCommitAndRemote) {
  EXPECT_FALSE(FindGitSource(directory_.path() + "/none"));
  auto source = FindGitSource(Path("repo/src/deep"));
  ASSERT_TRUE(source);
  EXPECT_EQ(source->branch, "trunk");
  EXPECT_EQ(source->commit, "");  // none yet
  EXPECT_EQ(source->url, "");
  Commit();
  Git("repo", "remote add origin https://me:token@host/o/r.git");
  source = FindGitSource(Path("repo/src/deep"));
  EXPECT_EQ(source->commit, Head());
  EXPECT_EQ(source->url, "https://host/o/r.git");
  const auto properties = GitProperties(*source);
  EXPECT_EQ(properties.at("azureml.git.repository_uri"), "https://host/o/r.git");
  EXPECT_EQ(properties.at("azureml.git.branch"), "trunk");
  EXPECT_EQ(properties.at("azureml.git.commit"), Head());
  EXPECT_EQ(properties.at("mlflow.source.git.repoURL"), "https://host/o/r.git");
  EXPECT_EQ(properties.at("mlflow.source.git.branch"), "trunk");
  EXPECT_EQ(properties.at("mlflow.source.git.commit"), Head());
  // The branch's own remote comes before origin.
  Git("repo", "remote add fork git@host:fork.git");
  Git("repo", "config branch.trunk.remote fork");
  EXPECT_EQ(FindGitSource(Path("repo"))->url, "git@host:fork.git");
}

TEST_F(GitSourceTest, PackedRefsAndDetachedHeads) {
  Commit();
  Git("repo", "checkout -q -b feature/x");
  Commit();
  Git("repo", "pack-refs --all");
  auto source = FindGitSource(Path("repo"));
  EXPECT_EQ(source->branch, "feature/x");
  EXPECT_EQ(source->commit, Head());
  Git("repo", "checkout -q --detach trunk");
  source = FindGitSource(Path("repo"));
  EXPECT_EQ(source->branch, "");
  EXPECT_EQ(source->commit, Head());
  EXPECT_FALSE(GitProperties(*source).contains("azureml.git.branch"));
}

TEST_F(GitSourceTest, WorkTreesAndSubmodules) {
  Commit();
  Git("repo", "remote add origin https://host/r.git");
  Git("repo", "worktree add -q ../tree -b other");
  Commit("tree");
  auto source = FindGitSource(Path("tree"));
  ASSERT_TRUE(source);
  EXPECT_EQ(source->branch, "other");
  EXPECT_EQ(source->commit, Head("tree"));
  EXPECT_EQ(source->url, "https://host/r.git");
  Git("outer", "init -q .");
  Git("outer", "submodule --quiet add '" + Path("repo") + "' sub");
  source = FindGitSource(Path("outer/sub/src"));
  ASSERT_TRUE(source);
  EXPECT_EQ(source->commit, Head());
  EXPECT_EQ(source->url, Path("repo"));
}

TEST_F(GitSourceTest, DamagedRepositoriesAreNoError) {
  MakeDirs(Path("bad/.git"));
  EXPECT_FALSE(FindGitSource(Path("bad")));
  WriteFileAtomic(Path("bad/.git/HEAD"), "ref: ../../etc/passwd\n");
  ASSERT_TRUE(FindGitSource(Path("bad")));
  EXPECT_EQ(FindGitSource(Path("bad"))->commit, "");
  MakeDirs(Path("file"));
  WriteFileAtomic(Path("file/.git"), "nonsense");
  EXPECT_FALSE(FindGitSource(Path("file")));
  WriteFileAtomic(Path("file/.git"), "gitdir: ../nowhere\n");
  EXPECT_FALSE(FindGitSource(Path("file")));
}

}  // namespace
}  // namespace trainyard

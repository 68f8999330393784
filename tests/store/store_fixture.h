// A workspace in a temporary directory, and records to fill it with.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>

#include "store/store.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {

class StoreTest : public testing::Test {
 protected:
  std::string Path(const std::string &name) const { return directory_.path() + "/" + name; }
  std::string Root() const { return Path("ws"); }
  Store &store() {
    if (!store_) store_ = Store::Open(Root());
    return *store_;
  }
  std::shared_ptr<Store> shared() {
    store();
    return store_;
  }
  void Reopen() { store_.reset(); }

  static RunRecord Record(const std::string &id, const std::string &hash = "hash") {
    RunRecord run;
    run.id = id;
    run.experiment = "exp";
    run.job_json = "{\"a\":1}";
    run.job_hash = hash;
    return run;
  }
  void MakeRun(const std::string &id, const std::vector<RunState> &states = {RunState::kRunning}) {
    store().runs().Create(Record(id), states);
  }
  std::string JournalDir(const std::string &id) { return store().RunPaths(id).Journal(); }

  TempDir directory_;
  std::shared_ptr<Store> store_;
};

// The status that `work` throws; kOk when it does not.
inline Status StatusOf(const std::function<void()> &work, std::string *message = nullptr) {
  try {
    work();
    return Status::kOk;
  } catch (const Error &error) {
    if (message != nullptr) *message = error.what();
    return error.status();
  }
}

// Runs `work` in a forked child; its exit code, or minus the signal that ended it.
inline int InChild(const std::function<int()> &work) {
  const pid_t pid = fork();
  if (pid == 0) _exit(work());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace trainyard

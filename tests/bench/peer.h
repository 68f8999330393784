// A program to compare with, kept running beside ours so that both are measured in turn: it answers each line with a
// number. Thread rule: one thread.
#pragma once

#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

extern char **environ;

namespace bench {

class Peer {
 public:
  // `command`: a program's path and its arguments.
  explicit Peer(const std::vector<std::string> &command) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::exit(1);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    std::vector<char *> argv;
    for (const std::string &word : command) argv.push_back(const_cast<char *>(word.c_str()));
    argv.push_back(nullptr);
    if (posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) {
      std::exit(std::fprintf(stderr, "cannot start %s\n", argv[0]));
    }
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    stream_ = fdopen(ends[0], "r+");
  }
  Peer(const Peer &) = delete;
  Peer &operator=(const Peer &) = delete;
  ~Peer() {
    std::fclose(stream_);
    waitpid(pid_, nullptr, 0);
  }

  double Ask(const char *question) {
    char line[128] = "";
    std::fprintf(stream_, "%s\n", question);
    std::fflush(stream_);
    if (std::fgets(line, sizeof line, stream_) == nullptr) std::exit(std::fprintf(stderr, "the peer ended\n"));
    return std::strtod(line, nullptr);
  }

 private:
  pid_t pid_ = 0;
  FILE *stream_ = nullptr;
};

}  // namespace bench

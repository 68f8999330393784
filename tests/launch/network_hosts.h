// Two hosts on one machine: network namespaces with a cable between them, 10.77.0.1 and 10.77.0.2, and a program that
// runs a command "on a host", as mpirun's remote start wants it. Needs root; `Make` says why when it cannot be done.
// While it lives, the thread that made it is on the first host. Thread rule: one thread.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "util/fs.h"

namespace trainyard {

class NetworkHosts {
 public:
  static std::unique_ptr<NetworkHosts> Make(const std::string &directory, std::string *why_not) {
    std::unique_ptr<NetworkHosts> hosts(new NetworkHosts(directory));
    *why_not = hosts->SetUp();
    return why_not->empty() ? std::move(hosts) : nullptr;
  }
  NetworkHosts(const NetworkHosts &) = delete;
  NetworkHosts &operator=(const NetworkHosts &) = delete;
  ~NetworkHosts() {
    if (own_.valid()) setns(own_.get(), CLONE_NEWNET);
    for (const char *host : {"1", "2"}) Run("ip netns delete " + Name(host));
  }

  std::string hostfile() const { return directory_ + "/hosts"; }
  std::string rsh_agent() const { return directory_ + "/on_host.sh"; }

 private:
  explicit NetworkHosts(std::string directory) : directory_(std::move(directory)) {}
  static std::string Name(const std::string &host) { return "trainyard" + std::to_string(getpid()) + "-" + host; }
  static bool Run(const std::string &command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
  }

  std::string SetUp() {
    if (getuid() != 0) return "network namespaces need root";
    if (!Run("command -v ip")) return "no 'ip': sh scripts/setup.sh mpi";
    const std::string first = Name("1"), second = Name("2"), cable = "ty" + std::to_string(getpid());
    if (!Run("ip netns add " + first) || !Run("ip netns add " + second)) return "cannot make network namespaces";
    const std::string link =
        "ip link add " + cable + "a netns " + first + " type veth peer name " + cable + "b netns " + second;
    if (!Run(link)) return "cannot join network namespaces with a veth pair";
    const struct {
      const std::string &name;
      const char *end, *address;
    } ends[] = {{first, "a", "10.77.0.1"}, {second, "b", "10.77.0.2"}};
    for (const auto &host : ends) {
      const std::string on_host = "ip -n " + host.name + " ";
      if (!Run(on_host + "addr add " + host.address + "/24 dev " + cable + host.end) ||
          !Run(on_host + "link set " + cable + host.end + " up") || !Run(on_host + "link set lo up")) {
        return "cannot give a network namespace its address";
      }
    }
    WriteFileAtomic(hostfile(), "10.77.0.1 slots=2\n10.77.0.2 slots=2\n");
    WriteFileAtomic(rsh_agent(),
                    "#!/bin/sh\nhost=$1\nshift\ncase $host in\n  10.77.0.1) name=" + first +
                        " ;;\n  10.77.0.2) name=" + second +
                        " ;;\n  *) echo \"no host '$host'\" >&2; exit 1 ;;\nesac\n"
                        "exec ip netns exec $name sh -c \"$*\"\n",
                    0755);
    own_ = OpenFile("/proc/thread-self/ns/net", O_RDONLY);
    const UniqueFd there = OpenFile("/run/netns/" + first, O_RDONLY);
    return setns(there.get(), CLONE_NEWNET) == 0 ? "" : "cannot enter a network namespace";
  }

  const std::string directory_;
  UniqueFd own_;
};

}  // namespace trainyard

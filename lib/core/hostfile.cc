#include "core/hostfile.h"

#include <algorithm>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int32_t kMaxSlots = 65536;

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  line = line.substr(0, line.find('#'));
  for (;;) {
    const size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos) return words;
    line = line.substr(start);
    const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line = line.substr(end);
  }
}

}  // namespace

std::vector<Host> ParseHostfile(std::string_view text, std::string_view source_name) {
  std::vector<Host> hosts;
  int32_t number = 0;
  for (const std::string_view line : Split(text, '\n')) {
    const std::string place = std::string(source_name) + ":" + std::to_string(++number) + ": ";
    const std::vector<std::string_view> words = Words(line);
    if (words.empty()) continue;
    Host host;
    host.address = words[0];
    if (!IsValidUtf8(host.address)) throw Error::InvalidArgument(place + "the host's name is not valid UTF-8");
    if (host.address.find('=') != std::string::npos) {
      throw Error::InvalidArgument(place + "a line starts with a host, got '" + host.address + "'");
    }
    for (size_t i = 1; i < words.size(); ++i) {
      const size_t equals = words[i].find('=');
      const auto value = equals == std::string_view::npos ? std::nullopt : ParseInt64(words[i].substr(equals + 1));
      if (!value || *value < 1 || *value > kMaxSlots) {
        throw Error::InvalidArgument(place + "'" + std::string(words[i]) + "' must be like slots=4, without spaces");
      }
      if (words[i].substr(0, equals) == "slots") host.slots = static_cast<int32_t>(*value);
    }
    const auto known =
        std::find_if(hosts.begin(), hosts.end(), [&](const Host &other) { return other.address == host.address; });
    if (known != hosts.end()) {
      if (known->slots > kMaxSlots - host.slots) {
        throw Error::InvalidArgument(place + "host '" + host.address + "' has more than " + std::to_string(kMaxSlots) +
                                     " slots in all: name it once, with the slots it has");
      }
      known->slots += host.slots;
    } else {
      hosts.push_back(std::move(host));
    }
  }
  if (hosts.empty()) throw Error::InvalidArgument(std::string(source_name) + " names no host");
  return hosts;
}

std::vector<Host> TakeHosts(const std::vector<Host> &hosts, int32_t node_count) {
  if (node_count < 1 || static_cast<size_t>(node_count) > hosts.size()) {
    throw Error::InvalidArgument("the job wants " + std::to_string(node_count) + " nodes and the hostfile has " +
                                 std::to_string(hosts.size()) + ": take fewer nodes, or name more hosts");
  }
  return {hosts.begin(), hosts.begin() + node_count};
}

}  // namespace trainyard

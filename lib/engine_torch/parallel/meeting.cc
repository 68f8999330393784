#include "engine_torch/parallel/meeting.h"

#include <cstdlib>
#include <optional>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "engine_torch/parallel/lost_peer.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr const char *kLineKey = "trainyard/line";

std::string Variable(const char *name) {
  const char *text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
  return text == nullptr ? "" : text;
}

std::unique_ptr<ControlLine> OpenLine(int rank, int world_size, const MeetingPlace &place,
                                      std::chrono::milliseconds patience, c10d::Store *store) {
  if (rank == 0) {
    LineListener listener = ListenForRanks();
    const std::string port = std::to_string(listener.port);
    store->set(kLineKey, std::vector<uint8_t>(port.begin(), port.end()));
    return ControlLine::Host(std::move(listener), world_size, patience);
  }
  const std::vector<uint8_t> told = store->get(kLineKey);
  const auto port = ParseInt64(std::string(told.begin(), told.end()));
  if (!port || *port < 1 || *port > UINT16_MAX) ThrowRanksFailed("rank 0 tells no port");
  return ControlLine::Join(place.address, static_cast<uint16_t>(*port), rank, patience);
}

}  // namespace

MeetingPlace PlaceOfMeeting() {
  const std::string address = Variable("MASTER_ADDR"), port = Variable("MASTER_PORT");
  const auto number = ParseInt64(port);
  if (!address.empty() && number && *number >= 1 && *number <= UINT16_MAX)
    return {address, static_cast<uint16_t>(*number)};
  throw Error::InvalidState("the ranks of this training meet at MASTER_ADDR and MASTER_PORT, and these are '" +
                            address + "' and '" + port +
                            "': whoever starts the ranks must set both (a job with a distribution has them)");
}

Meeting MeetOtherRanks(int rank, int world_size, const MeetingPlace &place, std::chrono::milliseconds patience) {
  const std::string where = place.address + ", port " + std::to_string(place.port);
  try {
    c10d::TCPStoreOptions options;
    options.port = place.port;
    options.isServer = rank == 0;
    options.waitWorkers = false;  // the line does, and names those who are missing
    options.timeout = patience;
    Meeting meeting;
    meeting.store = c10::make_intrusive<c10d::TCPStore>(place.address, options);
    meeting.line = OpenLine(rank, world_size, place, patience, meeting.store.get());
    return meeting;
  } catch (const c10::Error &error) {
    // The whole text: whoever looks for a port that was taken finds it there (launch/blame.cc).
    ThrowRanksFailed("rank " + std::to_string(rank) + (rank == 0 ? " cannot listen at " : " cannot meet rank 0 at ") +
                     where + ": " + error.what_without_backtrace());
  }
}

}  // namespace trainyard

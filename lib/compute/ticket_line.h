// The line of one queue: a directory of tickets, one file each, whose names sort as the places do (core/queue_rules.h).
//   tickets/counter     the last number given, as text; held by flock while anybody changes or judges the line
//   tickets/t-...       held by flock (shared: the host that submits and the supervisor it starts both hold it) as long
//                       as somebody stands there; one that nobody holds is dead, and whoever finds it removes it
// Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/queue_rules.h"
#include "util/fs.h"

namespace trainyard {

class TicketLine {
 public:
  explicit TicketLine(std::string directory) : directory_(std::move(directory)) {}

  // While the descriptor lives nobody else changes the line. For moments only, and never while waiting for anything
  // else. All below but Path, IsDead and List need it.
  UniqueFd Lock() const;

  uint64_t NextNumber(const UniqueFd &lock) const;
  // Stands there: makes the file when it is absent. The place is kept until the descriptor goes.
  UniqueFd Hold(const Ticket &ticket) const;
  // Takes the file away if it is still the one behind `fd`, and wakes who waits for it.
  void Remove(const UniqueFd &fd, const Ticket &ticket) const;
  // Removes those of `tickets` that nobody holds, from the line and from the vector.
  void DropDead(std::vector<Ticket> *tickets) const;

  // Those before `ticket`, in order.
  std::vector<Ticket> Ahead(const Ticket &ticket) const;
  std::string Path(const Ticket &ticket) const { return directory_ + "/" + ticket.Name(); }

 private:
  std::string directory_;
};

// A place taken when a run is submitted, so that runs start in the order of their submits although some supervisors
// come up faster than others. This process holds it until the object goes; by then the supervisor holds it too.
class SubmitPlace {
 public:
  // Gives `ticket` its number.
  SubmitPlace(const std::string &tickets_directory, const Ticket &ticket);
  SubmitPlace(const SubmitPlace &) = delete;
  SubmitPlace &operator=(const SubmitPlace &) = delete;
  ~SubmitPlace();
  uint64_t number() const { return ticket_.number; }
  // There will be no run.
  void Abandon();

 private:
  TicketLine line_;
  Ticket ticket_;
  UniqueFd fd_;
};

}  // namespace trainyard

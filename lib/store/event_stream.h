// What happens in a run, read from its record, logs and journals by cursor: a slow reader loses nothing and memory
// stays bounded. Events of one source (states; one log; one journal segment) come in order; the final state comes last.
// An EventReader is used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/event.h"
#include "store/store.h"

namespace trainyard {

class EventReader {
 public:
  // `cursor` empty = from the beginning; else what cursor() gave, in any process. `mask` of EventKind bits. Error
  // kNotFound without such a run, kInvalidArgument for a cursor of another run or no cursor.
  EventReader(std::shared_ptr<Store> store, std::string run_id, std::string_view cursor, uint32_t mask);
  ~EventReader();
  EventReader(const EventReader &) = delete;
  EventReader &operator=(const EventReader &) = delete;

  // nullopt = nothing now; ended() tells whether anything can still come. Log lines come without their end ("\n" or
  // "\r\n"); longer ones than 64 KiB are split (Event::continued); bytes that are no UTF-8 are replaced; an unfinished
  // last line comes when the run is final.
  std::optional<Event> Next();
  // The run is final and everything was delivered.
  bool ended() const;
  // Position after the last event that Next gave. Compact text; keep it anywhere.
  std::string cursor() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainyard

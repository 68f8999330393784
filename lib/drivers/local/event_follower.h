// An EventStream over a local run: reads by cursor (store/event_stream.h), sleeps on the process-wide watcher
// (store/watcher.h), and lets somebody look after the run's supervisor now and then.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "drivers/driver.h"
#include "store/store.h"

namespace trainyard {

// `settle` is called every second at most while the stream waits.
std::unique_ptr<EventStream> FollowEvents(std::shared_ptr<Store> store, const std::string &run_id,
                                          std::string_view cursor, uint32_t mask, std::function<void()> settle);

}  // namespace trainyard

#include "drivers/local/event_follower.h"

#include <algorithm>
#include <utility>

#include "store/event_stream.h"
#include "store/watcher.h"
#include "util/clock.h"

namespace trainyard {
namespace {

// A supervisor that died rings no bell: somebody has to look.
constexpr int64_t kLookEveryMs = 1000;

class EventFollower : public EventStream {
 public:
  EventFollower(std::shared_ptr<Store> store, const std::string &run_id, std::string_view cursor, uint32_t mask,
                std::function<void()> settle)
      : subscription_(WatchRun(store->RunPaths(run_id))),
        reader_(std::move(store), run_id, cursor, mask),
        settle_(std::move(settle)) {
    subscription_->Wake();
  }

  std::optional<Event> Next(int64_t timeout_ms) override {
    if (auto event = reader_.Next()) return event;
    const int64_t start = MonotonicMs();
    for (;;) {
      subscription_->Clear();
      if (auto event = reader_.Next()) {
        // There may be more: the descriptor must say so until a look finds nothing.
        subscription_->Wake();
        return event;
      }
      if (reader_.ended()) {
        subscription_->Wake();  // the end is something to be told, too
        return std::nullopt;
      }
      const int64_t left = timeout_ms < 0 ? kLookEveryMs : timeout_ms - (MonotonicMs() - start);
      LookAfterRun();
      if (left <= 0) return std::nullopt;
      subscription_->Wait(std::min(left, kLookEveryMs));
    }
  }

  bool ended() const override { return reader_.ended(); }
  int fd() override { return subscription_->fd(); }
  std::string cursor() const override { return reader_.cursor(); }
  void SetWake(std::function<void()> wake) override { subscription_->SetWake(std::move(wake)); }

 private:
  void LookAfterRun() {
    const int64_t now = MonotonicMs();
    if (now - looked_ms_ < kLookEveryMs) return;
    looked_ms_ = now;
    settle_();
  }

  std::unique_ptr<Subscription> subscription_;
  EventReader reader_;
  std::function<void()> settle_;
  int64_t looked_ms_ = 0;
};

}  // namespace

std::unique_ptr<EventStream> FollowEvents(std::shared_ptr<Store> store, const std::string &run_id,
                                          std::string_view cursor, uint32_t mask, std::function<void()> settle) {
  return std::make_unique<EventFollower>(std::move(store), run_id, cursor, mask, std::move(settle));
}

}  // namespace trainyard

// Small messages between the ranks of a training whose tensors lie on GPUs: numbers that all of them add up without
// waiting for a GPU, and word of a rank that has gone. Each rank has a TCP connection to the first one, which adds up,
// in the order of the ranks, and answers all. A connection ends with its process, however that ends: the first rank
// tells the others whose it was. A host that is cut off is noticed by TCP's own probes, within half a minute.
//
// Messages are a header (magic, kind, bytes that follow), in the machines' own byte order, which the first one checks.
//
// Thread rule: questions are asked by one thread at a time; GiveUp() and failure() by any. A thread of the line's own
// listens, and calls what Watch() was given.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "util/fs.h"

namespace trainyard {

// A free port of the first rank.
struct LineListener {
  UniqueFd fd;
  uint16_t port = 0;
};
LineListener ListenForRanks();

class ControlLine {
 public:
  enum class Operation : uint32_t { kSumDoubles, kMaxDoubles, kSumIntegers, kMaxIntegers };
  using Bytes = std::vector<uint8_t>;
  static constexpr size_t kMostBytes = size_t{1} << 20;  // of a question

  // The first rank's end; the others come within `patience`. Throws Error kEngine that names those who did not.
  static std::unique_ptr<ControlLine> Host(LineListener listener, int world_size, std::chrono::milliseconds patience);
  // Throws Error kEngine when the first rank is not there within `patience`.
  static std::unique_ptr<ControlLine> Join(const std::string &address, uint16_t port, int rank,
                                           std::chrono::milliseconds patience);
  ~ControlLine();  // gives up, if it was not closed
  ControlLine(const ControlLine &) = delete;
  ControlLine &operator=(const ControlLine &) = delete;

  // `look` is asked at least twice a second whether something else is broken; what it says, if anything, is everybody's
  // failure. `on_failure` is called once when another rank has gone, also when it had before.
  void Watch(std::function<std::string()> look, std::function<void()> on_failure);

  // Doubles or 64-bit integers, as many on all ranks. All ask the same questions in the same order.
  uint64_t Ask(Operation operation, const Bytes &values);
  // Waits. Each question's answer can be had once.
  Bytes Answer(uint64_t question);
  // All are done, together; the last call.
  void Close();
  // Whoever waits fails, here and on the other ranks. What was found before stays the reason.
  void GiveUp();
  // Why nothing works any more; empty: it does.
  std::string failure() const;
  // The same; who finds that something failed waits so long for the word of a rank that has gone, which is the reason.
  std::string AwaitFailure(std::chrono::milliseconds patience) const;

 private:
  struct Peer {
    int rank = 0;
    UniqueFd fd;
    Bytes received;     // the beginning of a message
    bool done = false;  // said that it is, or has gone
  };
  struct Question {
    Operation operation;
    Bytes values;
  };

  explicit ControlLine(int rank) : rank_(rank) {}
  void Start();
  void Run();
  void Receive(Peer *peer);
  void Take(Peer *peer, uint32_t kind, Bytes body);
  bool Look();
  void Fail(const std::string &what);
  void Combine();
  void Arrived(Bytes answer);
  bool AllDone() const;
  void TellAll(uint32_t kind, const Bytes &body);
  void Stop();

  const int rank_;
  std::vector<std::unique_ptr<Peer>> peers_;  // of the first rank: all others; of another: the first
  UniqueFd wake_;                             // an eventfd: the thread is to end
  std::thread thread_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::deque<Question>> asked_;  // of the first rank: by rank
  std::map<uint64_t, Bytes> answers_;
  uint64_t next_question_ = 0, next_answer_ = 0;
  std::function<std::string()> look_;
  std::function<void()> on_failure_;
  std::string failure_;  // set once; then nothing works any more
  bool told_ = false;    // on_failure_ was called
  bool closed_ = false, stop_ = false;
};

}  // namespace trainyard

#include "launch/blame.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "launch/worker_report.h"
#include "util/text.h"

namespace trainyard {
namespace {

// What ranks say when another one has gone. Lower case.
constexpr std::array<std::string_view, 22> kEchoes = {
    "connection reset",
    "connection closed by peer",
    "connection refused",
    "connectionreseterror",
    "broken pipe",
    "brokenpipeerror",
    "horovod has been shut down",
    "ncclremoteerror",
    "nccl communicator was aborted",
    "socket timeout",
    "timed out waiting",
    "watchdog caught collective operation timeout",
    "read from peer",
    "mpi_abort was invoked",
    "a peer rank ended",
    "store might be down",
    "connection was likely closed",
    "remote process exited or there was a network error",
    "connection was closed by peer",
    "horovodinternalerror",
    "application timeout caused pair closure",
    "client socket has timed out",
};

// In the words of the C library, of Python and of libuv.
constexpr std::array<std::string_view, 2> kPortTaken = {"address already in use", "eaddrinuse"};

// Beginnings or parts of lines that name a fault of the process itself.
constexpr std::array<std::string_view, 11> kFaults = {
    "traceback (most recent call last)",
    "fatal python error",
    "terminate called",
    "segmentation fault",
    "cuda error",
    "out of memory",
    "assertion failed",
    "addresssanitizer",
    "fatal error",
    "modulenotfounderror",
    "panicked at",
};

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char &c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

template <size_t kSize>
bool ContainsAny(const std::string &text, const std::array<std::string_view, kSize> &parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](std::string_view part) { return text.find(part) != std::string::npos; });
}

bool IsFaultSignal(int32_t signal) {
  return signal == SIGSEGV || signal == SIGABRT || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
         signal == SIGSYS;
}

constexpr std::string_view kTraceback = "Traceback (most recent call last)";

// The exception that the last traceback of the text ends with; empty when there is none, or not its end: the lines of a
// traceback are indented, the first one that is not is the exception.
std::string ExceptionLine(std::string_view text) {
  const size_t traceback = text.rfind(kTraceback);
  if (traceback == std::string_view::npos) return "";
  const std::vector<std::string_view> lines = Split(text.substr(traceback), '\n');
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::string_view line = WithoutRankMark(lines[i]);
    if (!line.empty() && line[0] != ' ') return std::string(line);
  }
  return "";
}

// Without a last traceback that breaks off: its writer was ended while it wrote, by whoever ended the others, and what
// it was about to say of itself or of its peers is not known.
std::string_view WithoutCutTraceback(std::string_view text) {
  const size_t traceback = text.rfind(kTraceback);
  if (traceback == std::string_view::npos || !ExceptionLine(text).empty()) return text;
  const size_t line_end = text.rfind('\n', traceback);
  return text.substr(0, line_end == std::string_view::npos ? 0 : line_end);
}

}  // namespace

std::string FaultLine(std::string_view stderr_tail) {
  const std::string exception = ExceptionLine(stderr_tail);
  if (!exception.empty()) return exception;
  const std::vector<std::string_view> lines = Split(stderr_tail, '\n');
  for (size_t i = lines.size(); i-- > 0;) {
    const std::string_view line = Trim(WithoutRankMark(lines[i]));
    if (!line.empty()) return std::string(line);
  }
  return "";
}

Evidence EvidenceIn(std::string_view stderr_tail) {
  stderr_tail = WithoutCutTraceback(stderr_tail);
  const std::string fault_line = LowerCase(FaultLine(stderr_tail));
  if (ContainsAny(fault_line, kEchoes)) return Evidence::kEcho;
  const std::string all = LowerCase(stderr_tail);
  if (ContainsAny(all, kFaults)) return Evidence::kOwnFault;
  return ContainsAny(all, kEchoes) ? Evidence::kEcho : Evidence::kNone;
}

bool SaysPortTaken(std::string_view stderr_tail) {
  return ContainsAny(LowerCase(stderr_tail), kPortTaken);
}

Evidence EvidenceOf(const RankExit &exit) {
  if (!exit.after_kill && (exit.node_lost || exit.out_of_memory || IsFaultSignal(exit.signal))) {
    // Libraries abort when they lose a peer: an abort with an echo as the last word is an echo.
    const bool echo = exit.signal == SIGABRT && EvidenceIn(exit.stderr_tail) == Evidence::kEcho;
    return echo ? Evidence::kEcho : Evidence::kOwnFault;
  }
  if (const auto worker = BlamedWorker(exit.stderr_tail)) return worker->evidence;
  return EvidenceIn(exit.stderr_tail);
}

void Blame::Add(const RankExit &exit) {
  const size_t index = count_++;
  if (!exit.failed()) return;
  const Evidence evidence = EvidenceOf(exit);
  if (exit.after_kill && evidence != Evidence::kOwnFault) return;
  const bool stronger = evidence > evidence_ || (evidence == evidence_ && exit.order < order_);
  if (blamed_ && !stronger) return;
  blamed_ = index;
  evidence_ = evidence;
  order_ = exit.order;
}

}  // namespace trainyard

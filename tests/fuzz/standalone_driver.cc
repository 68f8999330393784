// A small fuzzer for compilers without libFuzzer (g++): it mutates seeds for a bounded time and keeps the inputs that
// reach new code (targets are compiled with -fsanitize-coverage=trace-pc), under AddressSanitizer and UBSan. The same
// seed number gives the same inputs in the same order; only where the time limit cuts differs. Single-threaded.
//
//   fuzz_<name> [-max_total_time=SECONDS] [-runs=N] [-seed=N] [-max_len=BYTES] [-timeout=SECONDS] [seed dir | input
//   file]...
//
// Given files only, it runs each of them once and ends (how a crash is reproduced). An input that crashes or hangs is
// written to ./crash-<name>-<run> first, or to the directory of -artifact_prefix=DIR/.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz.h"

extern "C" void TrainyardFuzzSetUp(trainyard::fuzz::Corpus *corpus) __attribute__((weak));
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));
extern "C" char __executable_start;

namespace {

// Coverage: one byte per (previous place, this place) pair, as AFL does. Global because the compiler calls the hook
// below.
constexpr size_t kMapSize = 1 << 16;
uint8_t g_hits[kMapSize];
uintptr_t g_previous = 0;

// The input being run and where to write it: read by the death callback and the alarm handler, which get no argument.
const uint8_t *g_input = nullptr;
size_t g_input_size = 0;
char g_artifact[4096];

struct Options {
  double max_total_time = 0;  // seconds; 0 with runs == 0 means 10
  uint64_t runs = 0;
  uint64_t seed = 1;
  size_t max_len = 1 << 16;
  unsigned timeout = 60;
  std::string artifact_prefix = "./";
  std::vector<std::string> directories;
  std::vector<std::string> files;
};

// Async-signal-safe.
void WriteInput() {
  if (g_input == nullptr) {
    return;
  }
  int fd = open(g_artifact, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ssize_t written = fd < 0 ? -1 : write(fd, g_input, g_input_size);
  static const char kText[] = "the input was written to ";
  written += write(STDERR_FILENO, kText, sizeof(kText) - 1);
  written += write(STDERR_FILENO, g_artifact, strlen(g_artifact));
  written += write(STDERR_FILENO, "\n", 1);
  static_cast<void>(written);
  g_input = nullptr;
}

void OnSignal(int signal_number) {
  static const char kHang[] = "fuzz: the input took too long\n";
  static const char kAbort[] = "fuzz: the target aborted\n";
  const char *text = signal_number == SIGALRM ? kHang : kAbort;
  ssize_t written = write(STDERR_FILENO, text, strlen(text));
  static_cast<void>(written);
  WriteInput();
  _exit(70);
}

std::string ReadFile(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    fprintf(stderr, "fuzz: cannot read %s\n", path.c_str());
    exit(2);
  }
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Options Parse(int argc, char **argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    size_t equals = arg.find('=');
    if (arg[0] != '-') {
      (std::filesystem::is_directory(arg) ? options.directories : options.files).push_back(arg);
      continue;
    }
    std::string key = arg.substr(1, equals == std::string::npos ? equals : equals - 1);
    std::string value = equals == std::string::npos ? "" : arg.substr(equals + 1);
    if (key == "max_total_time") {
      options.max_total_time = atof(value.c_str());
    } else if (key == "runs") {
      options.runs = strtoull(value.c_str(), nullptr, 10);
    } else if (key == "seed") {
      options.seed = strtoull(value.c_str(), nullptr, 10);
    } else if (key == "max_len") {
      options.max_len = strtoull(value.c_str(), nullptr, 10);
    } else if (key == "timeout") {
      options.timeout = static_cast<unsigned>(atoi(value.c_str()));
    } else if (key == "artifact_prefix") {
      options.artifact_prefix = value;
    } else {
      fprintf(stderr, "fuzz: option %s is unknown, ignored\n", arg.c_str());
    }
  }
  if (options.max_total_time == 0 && options.runs == 0) {
    options.max_total_time = 10;
  }
  return options;
}

// Changes one input a little. Every choice comes from the one generator, in a fixed order.
class Mutator {
 public:
  Mutator(uint64_t seed, size_t max_len, const std::vector<std::string> &dictionary)
      : random_(seed), max_len_(max_len), dictionary_(dictionary) {}

  size_t Below(size_t limit) { return limit == 0 ? 0 : static_cast<size_t>(random_() % limit); }

  std::string Mutate(const std::string &input, const std::vector<std::string> &pool) {
    std::string out = input;
    for (size_t rounds = 1 + (Below(4) == 0 ? Below(16) : Below(3)); rounds > 0; --rounds) {
      Step(&out, pool);
    }
    if (out.size() > max_len_) {
      out.resize(max_len_);
    }
    return out;
  }

 private:
  void Step(std::string *out, const std::vector<std::string> &pool) {
    size_t size = out->size();
    size_t at = Below(size);
    switch (size == 0 ? 6 : Below(11)) {
      case 0:
        (*out)[at] = static_cast<char>((*out)[at] ^ (1 << Below(8)));
        break;
      case 1:
        (*out)[at] = static_cast<char>(random_());
        break;
      case 2:
        (*out)[at] = static_cast<char>((*out)[at] + static_cast<int>(Below(71)) - 35);
        break;
      case 3:
        PutInteresting(out, at);
        break;
      case 4:
        out->erase(at, 1 + Below(std::min<size_t>(size - at, Below(8) == 0 ? size : 16)));
        break;
      case 5:
        out->resize(at);
        break;
      case 6:
        out->insert(at, RandomBytes(1 + Below(16)));
        break;
      case 7:
        out->insert(at, out->substr(Below(size), 1 + Below(Below(8) == 0 ? size : 32)));
        break;
      case 8:
        CopyOver(out, at, out->substr(Below(size), 1 + Below(32)));
        break;
      case 9:
        Splice(out, at, pool[Below(pool.size())]);
        break;
      default:
        if (!dictionary_.empty()) {
          const std::string &word = dictionary_[Below(dictionary_.size())];
          Below(2) == 0 ? static_cast<void>(out->insert(at, word)) : CopyOver(out, at, word);
        }
    }
  }

  std::string RandomBytes(size_t count) {
    std::string bytes(count, '\0');
    for (char &byte : bytes) {
      byte = static_cast<char>(random_());
    }
    return bytes;
  }

  // Numbers at the edges of 1, 2, 4 and 8 byte integers, in both byte orders: lengths and counts are where parsers
  // fail.
  void PutInteresting(std::string *out, size_t at) {
    static const uint64_t kNumbers[] = {0,          1,          2,          16,          127,
                                        128,        255,        256,        0x7fff,      0x8000,
                                        0xffff,     0x10000,    0x7fffffff, 0x80000000u, 0xffffffffull,
                                        1ull << 32, 1ull << 62, ~0ull >> 1, ~0ull,       static_cast<uint64_t>(-16),
                                        65500,      0x01010101};
    uint64_t number = kNumbers[Below(std::size(kNumbers))] + Below(3) - 1;
    size_t width = size_t{1} << Below(4);
    bool big_endian = Below(2) == 0;
    std::string bytes(width, '\0');
    for (size_t i = 0; i < width; ++i) {
      bytes[big_endian ? width - 1 - i : i] = static_cast<char>(number >> (8 * i));
    }
    CopyOver(out, at, bytes);
  }

  static void CopyOver(std::string *out, size_t at, const std::string &bytes) {
    out->replace(at, std::min(bytes.size(), out->size() - at), bytes);
  }

  void Splice(std::string *out, size_t at, const std::string &other) {
    if (!other.empty()) {
      out->replace(at, std::string::npos, other.substr(Below(other.size())));
    }
  }

  std::mt19937_64 random_;
  size_t max_len_;
  const std::vector<std::string> &dictionary_;
};

// Runs inputs and knows which reached new code.
class Runner {
 public:
  explicit Runner(const Options &options) : options_(options) {}

  // True when the input reached a place, or a number of passes there, that none before did.
  bool Run(const std::string &input) {
    // A copy of the exact size, so that AddressSanitizer sees a read one byte past the end.
    std::vector<uint8_t> exact(input.begin(), input.end());
    ++runs_;
    snprintf(g_artifact, sizeof(g_artifact), "%scrash-%s-%llu", options_.artifact_prefix.c_str(),
             program_invocation_short_name, static_cast<unsigned long long>(runs_));
    memset(g_hits, 0, sizeof(g_hits));
    g_previous = 0;
    g_input = exact.data();
    g_input_size = exact.size();
    alarm(options_.timeout);
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    alarm(0);
    g_input = nullptr;
    bool fresh = false;
    for (size_t i = 0; i < kMapSize; ++i) {
      uint8_t bucket = Bucket(g_hits[i]);
      if ((bucket & ~seen_[i]) != 0) {
        places_ += seen_[i] == 0 ? 1 : 0;
        seen_[i] |= bucket;
        fresh = true;
      }
    }
    return fresh;
  }

  uint64_t runs() const { return runs_; }
  size_t places() const { return places_; }

 private:
  static uint8_t Bucket(uint8_t hits) {
    return hits == 0    ? 0
           : hits == 1  ? 1
           : hits == 2  ? 2
           : hits < 4   ? 4
           : hits < 8   ? 8
           : hits < 16  ? 16
           : hits < 128 ? 32
                        : 64;
  }

  const Options &options_;
  uint64_t runs_ = 0;
  size_t places_ = 0;
  uint8_t seen_[kMapSize] = {};
};

void ReadSeeds(const std::vector<std::string> &directories, std::vector<std::string> *seeds) {
  std::vector<std::filesystem::path> paths;
  for (const std::string &directory : directories) {
    for (const auto &entry : std::filesystem::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) {
        paths.push_back(entry.path());
      }
    }
  }
  std::sort(paths.begin(), paths.end());  // the file system's order is not the same everywhere
  for (const auto &path : paths) {
    seeds->push_back(ReadFile(path));
  }
}

int Fuzz(const Options &options) {
  using Clock = std::chrono::steady_clock;
  trainyard::fuzz::Corpus corpus;
  if (TrainyardFuzzSetUp != nullptr) {
    TrainyardFuzzSetUp(&corpus);
  }
  ReadSeeds(options.directories, &corpus.seeds);
  if (corpus.seeds.empty()) {
    corpus.seeds.emplace_back();
  }
  static Runner runner(options);  // static: too big for the stack
  std::vector<std::string> pool;
  for (const std::string &seed : corpus.seeds) {
    runner.Run(seed);
    pool.push_back(seed);
  }
  size_t seeds = pool.size();
  Mutator mutator(options.seed, options.max_len, corpus.dictionary);
  auto end = Clock::now() + std::chrono::duration<double>(options.max_total_time);
  while ((options.runs == 0 || runner.runs() < options.runs) && (options.max_total_time == 0 || Clock::now() < end)) {
    // Half of the time one of the newest finds, which are the least explored.
    size_t newest = std::min<size_t>(pool.size(), 16);
    size_t pick = mutator.Below(2) == 0 ? pool.size() - 1 - mutator.Below(newest) : mutator.Below(pool.size());
    std::string input = mutator.Mutate(pool[pick], pool);
    if (runner.Run(input)) {
      pool.push_back(std::move(input));
    }
  }
  printf("fuzz: %llu runs, %zu seeds, %zu inputs kept, %zu places reached, nothing found\n",
         static_cast<unsigned long long>(runner.runs()), seeds, pool.size() - seeds, runner.places());
  return 0;
}

}  // namespace

// Called by the code under test at every edge.
extern "C" void __sanitizer_cov_trace_pc() {
  auto place =
      reinterpret_cast<uintptr_t>(__builtin_return_address(0)) - reinterpret_cast<uintptr_t>(&__executable_start);
  place = (place ^ (place >> 16)) * 0x9e3779b1u;
  uint8_t &hits = g_hits[(place ^ g_previous) % kMapSize];
  hits = hits == 255 ? hits : static_cast<uint8_t>(hits + 1);
  g_previous = place >> 1;
}

int main(int argc, char **argv) {
  Options options = Parse(argc, argv);
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(WriteInput);
  }
  signal(SIGALRM, OnSignal);
  signal(SIGABRT, OnSignal);
  if (!options.files.empty() && options.directories.empty()) {
    for (const std::string &file : options.files) {
      std::string input = ReadFile(file);
      std::vector<uint8_t> exact(input.begin(), input.end());
      alarm(options.timeout);
      LLVMFuzzerTestOneInput(exact.data(), exact.size());
      alarm(0);
      printf("fuzz: %s ran without a finding\n", file.c_str());
    }
    return 0;
  }
  return Fuzz(options);
}

#include "drivers/local/metric_writer.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "core/metric_value.h"
#include "store/metric_gate.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/random.h"
#include "util/text.h"

namespace trainyard {
namespace {

// ".png"; empty when the name has none that looks like one.
std::string Extension(const std::string &path) {
  constexpr size_t kLongest = 8;
  const std::string name = BaseName(path);
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos || dot == 0 || name.size() - dot > kLongest) return "";
  return "." + Slug(name.substr(dot + 1), kLongest);
}

class JournalMetricWriter : public MetricWriter {
 public:
  JournalMetricWriter(const RunLayout &run, std::shared_ptr<JournalWriter> journal, std::function<void()> check)
      : run_(run), journal_(std::move(journal)), check_(std::move(check)), gate_(run) {}

  void Append(std::string_view name, double value, std::optional<int64_t> step) override {
    WhileOpen([&] { journal_->Append(name, value, step); });
  }
  void AppendBatch(std::string_view name, std::span<const double> values, std::span<const int64_t> steps) override {
    WhileOpen([&] { journal_->AppendBatch(name, values, steps); });
  }
  void Record(MetricKind kind, std::string_view name, std::string_view json, std::optional<int64_t> step) override {
    WhileOpen([&] { journal_->Record(kind, name, json, step); });
  }
  void Image(std::string_view name, const std::string &path, std::string_view caption,
             std::optional<int64_t> step) override {
    constexpr size_t kSlug = 60;
    const std::string file = Slug(name, kSlug) + "_" + RandomBase32(10) + Extension(path);
    const std::string json = MakeMetricImage(name, "images/" + file, caption);
    WhileOpen([&] {
      MakeDirs(run_.Images());
      const std::string copy = JoinPath(run_.Images(), file);
      CopyFile(path, copy);
      try {
        journal_->Record(MetricKind::kImage, name, json, step);
      } catch (...) {
        RemoveFile(copy);
        throw;
      }
    });
  }
  void Progress(std::string_view json) override {
    WhileOpen([&] { journal_->Progress(json); });
  }
  void Flush() override { journal_->Flush(); }

 private:
  template <typename Work>
  void WhileOpen(Work &&work) {
    if (!check_) {
      work();
      return;
    }
    const std::lock_guard lock(mutex_);
    const GateEntry entry(&gate_);
    check_();
    work();
  }

  const RunLayout run_;
  const std::shared_ptr<JournalWriter> journal_;
  const std::function<void()> check_;
  std::mutex mutex_;  // for the gate
  MetricGate gate_;
};

}  // namespace

std::unique_ptr<MetricWriter> WriteMetrics(const RunLayout &run, std::shared_ptr<JournalWriter> journal,
                                           std::function<void()> check) {
  return std::make_unique<JournalMetricWriter>(run, std::move(journal), std::move(check));
}

}  // namespace trainyard

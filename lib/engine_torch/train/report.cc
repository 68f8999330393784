#include "engine_torch/train/report.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "util/clock.h"
#include "util/json.h"

namespace trainyard {
namespace {

constexpr int64_t kProgressEveryMs = 200;

}  // namespace

void Reporter::Metric(const char *name, int64_t step, double value) const {
  if (leads_ && host_->metric != nullptr) host_->metric(host_->user, name, step, value);
}

void Reporter::Log(LogLevel level, const std::string &message) const {
  if (leads_) LogOwn(level, message);
}

void Reporter::LogOwn(LogLevel level, const std::string &message) const {
  if (host_->log != nullptr) host_->log(host_->user, static_cast<int32_t>(level), message.c_str());
}

bool Reporter::ProgressDue() const {
  return leads_ && host_->progress != nullptr && MonotonicMs() - last_ms_ >= kProgressEveryMs;
}

void Reporter::Report(const Progress &progress) {
  if (!leads_ || host_->progress == nullptr) return;
  last_ms_ = MonotonicMs();
  Json json = Json::Object();
  json.Set("epoch", progress.epoch)
      .Set("epochs", progress.epochs)
      .Set("step", progress.step)
      .Set("steps", progress.steps);
  json.Set("phase", progress.phase).Set("loss", progress.loss);
  json.Set("accuracy", std::isnan(progress.accuracy) ? Json() : Json(progress.accuracy));
  json.Set("images_per_second", progress.images_per_second);
  json.Set("time_left_ms", progress.time_left_ms >= 0 ? Json(progress.time_left_ms) : Json());
  host_->progress(host_->user, json.Dump().c_str());
}

StopRequest Reporter::Wanted() const {
  const int32_t wanted = host_->should_stop == nullptr ? TY_ENGINE_GO_ON : host_->should_stop(host_->user);
  if (wanted == TY_ENGINE_LEAVE) return StopRequest::kLeave;
  return wanted == TY_ENGINE_GO_ON ? StopRequest::kNone : StopRequest::kFinish;
}

std::string WithCommas(int64_t value) {
  std::string text = std::to_string(value);
  for (auto place = static_cast<int64_t>(text.size()) - 3; place > (value < 0 ? 1 : 0); place -= 3) {
    text.insert(static_cast<size_t>(place), 1, ',');
  }
  return text;
}

std::string Fixed(double value, int digits) {
  if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  char buffer[400];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, digits);
  return {buffer, result.ptr};
}

std::string Duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::max(seconds, 0.0)));
  if (whole < 10) return Fixed(seconds, 1) + " s";
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
}

}  // namespace trainyard

#include "engine_torch/image/manifest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <unordered_map>
#include <utility>

#include "engine_torch/image/csv.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/text.h"

// A manifest is UTF-8, with or without a byte order mark. A name that ends in .jsonl, .ndjson or .json is JSON lines,
// any other CSV.
//
// CSV (csv.h): the first record names the columns, in any order, in upper or lower case; each other record is an image
// and has as many fields.
//   1. "path": the file, absolute or relative to the manifest's directory
//   2. "label" (or "labels"): the class; a number; or several names with ';' between them, possibly none
//   3. "split", optional: train, val or validation, test. All rows or none
//   4. "weight", optional: a finite number of 0 or more, 1 where the field is empty
// Other columns are ignored, and noted.
//
// JSON lines: each line that is not blank is an object with these keys. "label" may be a string, a number or a list of
// strings; "weight" a number; null is as if the key were not there.
//
// Each path is there once, however it is spelt. Where it leads is not looked at: it may be absolute, or leave the
// directory with ".."; an image that is not there is a bad image (data.bad_images).

namespace trainyard::image {
namespace {

enum Column : size_t { kPath, kLabel, kSplit, kWeight, kColumns };

constexpr std::array<const char *, kColumns> kColumnNames = {"path", "label", "split", "weight"};
constexpr size_t kMostNotes = 20;

std::optional<Column> ColumnNamed(std::string_view name) {
  const std::string lower = LowerAscii(Trim(name));
  if (lower == "labels") return kLabel;
  for (size_t i = 0; i < kColumns; ++i) {
    if (lower == kColumnNames[i]) return static_cast<Column>(i);
  }
  return std::nullopt;
}

// However it is spelt: "a/./b.jpg" and "a/../a//b.jpg" are the same.
std::string NormalPath(const std::string &path) {
  if (path.find("//") == std::string::npos && path.find("/.") == std::string::npos) return path;
  return std::filesystem::path(path).lexically_normal().string();
}

// Builds the manifest row by row; both formats end here, so that they have the same rules.
class Builder {
 public:
  Builder(const std::string &path, const ManifestLimits &limits) : limits_(limits) {
    manifest_.path = path;
    manifest_.directory = ParentPath(path);
  }

  [[noreturn]] void Fail(size_t line, const std::string &what) const {
    throw Error::InvalidArgument(manifest_.path + ":" + std::to_string(line) + ": " + what,
                                 {{"path", manifest_.path}, {"line", std::to_string(line)}});
  }
  [[noreturn]] void FailColumn(size_t line, Column column, const std::string &what) const {
    Fail(line, "column '" + std::string(kColumnNames[column]) + "' " + what);
  }

  void NoteUnknown(const std::string &name) {
    if (std::find(unknown_.begin(), unknown_.end(), name) != unknown_.end() || unknown_.size() == kMostNotes) return;
    unknown_.push_back(name);
    const std::vector<std::string> known = {"path", "label", "labels", "split", "weight"};
    manifest_.notes.push_back("'" + manifest_.path + "': column '" + SanitizeUtf8(TruncateUtf8(name, 100)) +
                              "' is ignored" + DidYouMean(name, known));
  }

  void SetPath(ManifestRow *row, const std::string &text) const {
    if (text.empty()) FailColumn(row->line, kPath, "is empty: name the image's file");
    if (text.find('\0') != std::string::npos) FailColumn(row->line, kPath, "has a NUL in it");
    if (text.find("://") != std::string::npos) {
      FailColumn(row->line, kPath, "is a URL, '" + std::string(TruncateUtf8(text, 200)) + "': it must name a file");
    }
    row->path = text.front() == '/' ? text : JoinPath(manifest_.directory, text);
  }

  void SetSplit(ManifestRow *row, std::string_view text) const {
    const std::string name = LowerAscii(Trim(text));
    if (name == "train") {
      row->split = Split::kTrain;
    } else if (name == "val" || name == "validation") {
      row->split = Split::kValidation;
    } else if (name == "test") {
      row->split = Split::kTest;
    } else if (!name.empty()) {
      FailColumn(row->line, kSplit,
                 "must be train, val, validation or test, got '" + std::string(TruncateUtf8(text, 40)) + "'" +
                     DidYouMean(name, {"train", "val", "validation", "test"}));
    }
  }

  void SetWeight(ManifestRow *row, double weight) {
    if (!std::isfinite(weight) || weight < 0)
      FailColumn(row->line, kWeight, "must be a finite number of 0 or more, got " + FormatDouble(weight));
    row->weight = weight;
    manifest_.has_weights = true;
  }

  void Add(ManifestRow row) {
    if (manifest_.rows.size() == limits_.rows)
      Fail(row.line, "more than " + std::to_string(limits_.rows) + " rows: that is the most a manifest may have");
    const auto [first, added] = lines_.emplace(NormalPath(row.path), row.line);
    if (!added) {
      Fail(row.line, "column 'path' names '" + std::string(TruncateUtf8(row.path, 200)) + "' again, after line " +
                         std::to_string(first->second) +
                         ": name each image once, with all its labels (column 'weight' makes it count more)");
    }
    if (!manifest_.rows.empty() && (row.split == Split::kNone) == manifest_.has_splits) {
      FailColumn(row.line, kSplit,
                 manifest_.has_splits ? "is missing, and the rows before have one: give it to all rows or to none"
                                      : "is given, and the rows before have none: give it to all rows or to none");
    }
    manifest_.has_splits = row.split != Split::kNone;
    manifest_.rows.push_back(std::move(row));
  }

  Manifest Take() {
    if (manifest_.rows.empty()) {
      throw Error::InvalidArgument("'" + manifest_.path + "' names no image: it needs a row for each",
                                   {{"path", manifest_.path}});
    }
    return std::move(manifest_);
  }

 private:
  const ManifestLimits limits_;
  Manifest manifest_;
  std::vector<std::string> unknown_;
  std::unordered_map<std::string, size_t> lines_;  // of each path
};

// ---- CSV ----

using Places = std::array<std::optional<size_t>, kColumns>;  // of the columns in a record

Places ReadHeader(const std::vector<std::string> &names, size_t line, Builder *builder) {
  Places places;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::optional<Column> column = ColumnNamed(names[i]);
    if (!column) {
      builder->NoteUnknown(names[i]);
      continue;
    }
    if (places[*column]) builder->FailColumn(line, *column, "is there twice");
    places[*column] = i;
  }
  for (const Column column : {kPath, kLabel}) {
    if (places[column]) continue;
    const bool other = names.size() == 1 && names[0].find_first_of(";\t") != std::string::npos;
    builder->FailColumn(line, column,
                        std::string("is missing: the first line names the columns, path and label among them") +
                            (other ? ", with commas between them" : ""));
  }
  return places;
}

void ParseCsv(std::string_view text, const std::string &path, const ManifestLimits &limits, Builder *builder) {
  CsvReader reader(text, path, {.record_bytes = limits.row_bytes});
  std::vector<std::string> fields;
  if (!reader.Next(&fields)) return;
  const size_t columns = fields.size();
  const Places places = ReadHeader(fields, reader.line(), builder);
  while (reader.Next(&fields)) {
    ManifestRow row;
    row.line = reader.line();
    if (fields.size() != columns) {
      builder->Fail(row.line, "it has " + std::to_string(fields.size()) + " fields, and the first line names " +
                                  std::to_string(columns) + " columns; a field with a comma in it must be in quotes");
    }
    builder->SetPath(&row, fields[*places[kPath]]);
    row.labels = {fields[*places[kLabel]]};
    if (places[kSplit]) builder->SetSplit(&row, fields[*places[kSplit]]);
    if (places[kWeight]) {
      const std::string_view weight = Trim(fields[*places[kWeight]]);
      const std::optional<double> number = ParseDouble(weight);
      if (!weight.empty() && !number) {
        builder->FailColumn(row.line, kWeight, "must be a number, got '" + std::string(TruncateUtf8(weight, 40)) + "'");
      }
      if (number) builder->SetWeight(&row, *number);
    }
    builder->Add(std::move(row));
  }
}

// ---- JSON lines ----

Json ParseLine(std::string_view line, size_t number, const std::string &path, const ManifestLimits &limits,
               const Builder &builder) {
  constexpr const char *kSource = "line";
  try {
    Json json = Json::Parse(line, kSource, {.max_bytes = limits.row_bytes, .max_depth = 8});
    if (!json.is_object()) builder.Fail(number, R"(it must be an object, {"path": ..., "label": ...})");
    return json;
  } catch (const Error &error) {
    // What it says of the place is within the line.
    const std::string what = error.what();
    const std::string within = std::string(kSource) + ":1:";
    if (!what.starts_with(within)) {
      if (what.starts_with(path + ":")) throw;
      builder.Fail(number, what);
    }
    throw Error::InvalidArgument(path + ":" + std::to_string(number) + ":" + what.substr(within.size()),
                                 {{"path", path}, {"line", std::to_string(number)}});
  }
}

void SetLabels(const Json &value, const Builder &builder, ManifestRow *row) {
  switch (value.type()) {
    case JsonType::kString:
      row->labels = {value.AsString()};
      return;
    case JsonType::kNumber:
      row->labels = {FormatDouble(value.AsDouble())};
      return;
    case JsonType::kArray:
      row->listed = true;
      for (const Json &item : value.Items()) {
        if (!item.is_string()) builder.FailColumn(row->line, kLabel, "must be a list of strings");
        row->labels.push_back(item.AsString());
      }
      return;
    default:
      builder.FailColumn(row->line, kLabel, "must be a string, a number or a list of strings");
  }
}

void SetMember(Column column, const Json &value, Builder *builder, ManifestRow *row) {
  if (column == kLabel) return SetLabels(value, *builder, row);
  if (column == kWeight) {
    if (value.type() != JsonType::kNumber) builder->FailColumn(row->line, kWeight, "must be a number");
    return builder->SetWeight(row, value.AsDouble());
  }
  if (!value.is_string()) builder->FailColumn(row->line, column, "must be a string");
  if (column == kPath) {
    builder->SetPath(row, value.AsString());
  } else {
    builder->SetSplit(row, value.AsString());
  }
}

void ParseObject(const Json &object, Builder *builder, ManifestRow *row) {
  std::array<bool, kColumns> there = {};
  for (const auto &[key, value] : object.Members()) {
    const std::optional<Column> column = ColumnNamed(key);
    if (!column) {
      builder->NoteUnknown(key);
      continue;
    }
    if (value.is_null()) continue;
    if (there[*column]) builder->FailColumn(row->line, *column, "is there twice");
    there[*column] = true;
    SetMember(*column, value, builder, row);
  }
  for (const Column column : {kPath, kLabel}) {
    if (!there[column]) builder->FailColumn(row->line, column, "is missing");
  }
}

void ParseJsonLines(std::string_view text, const std::string &path, const ManifestLimits &limits, Builder *builder) {
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.size() > limits.row_bytes)
      builder->Fail(number, "it is longer than " + std::to_string(limits.row_bytes) + " bytes");
    if (line.empty()) continue;
    ManifestRow row;
    row.line = number;
    ParseObject(ParseLine(line, number, path, limits, *builder), builder, &row);
    builder->Add(std::move(row));
  }
}

// Line by line, so that the error can name one.
void CheckUtf8(std::string_view text, const Builder &builder) {
  if (IsValidUtf8(text)) return;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    if (!IsValidUtf8(text.substr(0, end))) break;
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  builder.Fail(number, "it is no UTF-8: save the file as UTF-8");
}

ManifestFormat FormatOf(const std::string &path) {
  const std::string name = LowerAscii(path);
  const bool json = name.ends_with(".jsonl") || name.ends_with(".ndjson") || name.ends_with(".json");
  return json ? ManifestFormat::kJsonLines : ManifestFormat::kCsv;
}

}  // namespace

Manifest ParseManifest(std::string_view text, ManifestFormat format, const std::string &path,
                       const ManifestLimits &limits) {
  Builder builder(path, limits);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  CheckUtf8(text, builder);
  if (format == ManifestFormat::kCsv) {
    ParseCsv(text, path, limits, &builder);
  } else {
    ParseJsonLines(text, path, limits, &builder);
  }
  return builder.Take();
}

Manifest ReadManifest(const std::string &path, const ManifestLimits &limits) {
  if (IsDirectory(path)) {
    throw Error::InvalidArgument("the manifest '" + path + "' is a directory: name the CSV or JSONL file in it",
                                 {{"path", path}});
  }
  // A pipe would be waited for.
  std::error_code ignored;
  if (PathExists(path) && !std::filesystem::is_regular_file(path, ignored))
    throw Error::InvalidArgument("the manifest '" + path + "' is no regular file", {{"path", path}});
  return ParseManifest(ReadFile(path, limits.file_bytes), FormatOf(path), path, limits);
}

std::string PlaceOf(const Manifest &manifest, const ManifestRow &row) {
  return manifest.path + ":" + std::to_string(row.line);
}

}  // namespace trainyard::image

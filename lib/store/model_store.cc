#include "store/model_store.h"

#include <unistd.h>

#include <algorithm>

#include "core/run_id.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/random.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr char kColumns[] =
    "id, name, version, run_id, created_ms, description, framework, framework_version, properties, datasets, lineage";

// With what comes nearest: the latest version of this name, or a name that is spelt almost so.
Error NoModel(Connection &db, std::string_view name, int64_t version) {
  const std::string id = std::string(name) + (version == 0 ? "" : ":" + std::to_string(version));
  std::vector<std::string> names;
  int64_t latest = 0;
  auto query = db.Prepare("SELECT name, max(version) FROM models GROUP BY name");
  while (query.Step()) {
    names.push_back(query.Text(0));
    if (names.back() == name) latest = query.Int(1);
  }
  return Error::NotFound(
      "there is no model '" + id + "' in the workspace" +
          (latest == 0 ? DidYouMean(name, names) : "; the latest version is " + std::to_string(latest)),
      {{"model", id}});
}

ModelRecord ReadModel(const Statement &row) {
  ModelRecord model;
  model.name = row.Text(1);
  model.version = row.Int(2);
  model.run_id = row.Text(3);
  model.created_ms = row.Int(4);
  model.description = row.Text(5);
  model.framework = row.Text(6);
  model.framework_version = row.Text(7);
  model.properties = Json::Parse(row.Text(8), "properties").AsStringMap();
  model.datasets_json = row.Text(9);
  model.lineage_json = row.Text(10);
  return model;
}

void ReadTags(Connection &db, int64_t id, ModelRecord *model) {
  auto tags = db.Prepare("SELECT key, value FROM model_tags WHERE model_id = ?");
  tags.Bind(id);
  while (tags.Step()) model->tags[tags.Text(0)] = tags.Text(1);
}

int64_t IdOf(Connection &db, std::string_view name, int64_t version) {
  auto query = db.Prepare("SELECT id FROM models WHERE name = ? AND version = ?");
  query.Bind(name).Bind(version);
  if (!query.Step()) throw NoModel(db, name, version);
  return query.Int(0);
}

StoredFile PutModelFile(ObjectStore *objects, const std::string &path, const std::string &name) {
  const ObjectInfo object = objects->PutFile(path, /*sync=*/false);
  const auto info = Stat(path);
  return {name, object.sha256, object.size, info ? info->modified_ms : 0};
}

std::vector<StoredFile> PutModelFiles(ObjectStore *objects, const std::string &path, std::string_view left_out) {
  const auto info = Stat(path);
  if (!info) throw Error::NotFound("cannot register a model: '" + path + "' is not there", {{"path", path}});
  std::vector<StoredFile> files;
  if (info->kind == FileInfo::Kind::kDirectory) {
    const std::string skipped = left_out.empty() ? "" : std::string(left_out) + "/";
    for (const std::string &name : ListTree(path)) {
      if (!skipped.empty() && name.starts_with(skipped)) continue;
      const auto entry = Stat(path + "/" + name);  // through symlinks: a model is its files
      if (entry && entry->kind == FileInfo::Kind::kFile)
        files.push_back(PutModelFile(objects, path + "/" + name, name));
    }
    if (files.empty()) {
      const std::string besides = left_out.empty() ? "" : " besides '" + std::string(left_out) + "'";
      throw Error::InvalidArgument("cannot register a model: there is no file in '" + path + "'" + besides,
                                   {{"path", path}});
    }
  } else {
    files.push_back(PutModelFile(objects, path, BaseName(path)));
  }
  std::vector<std::string> hashes;
  for (const StoredFile &file : files) hashes.push_back(file.sha256);
  objects->Sync(hashes);
  return files;
}

void CheckTag(const std::string &key, const std::string &value) {
  if (key.empty() || key.size() > 100 || value.size() > 1000 || !IsValidUtf8(key) || !IsValidUtf8(value)) {
    throw Error::InvalidArgument("a model's tag '" + SanitizeUtf8(key.substr(0, 100)) +
                                 "' must have a name of 1 to 100 and a value of at most 1000 bytes of UTF-8");
  }
}

}  // namespace

ModelRecord ModelStore::Register(const ModelRecord &given, const std::string &path, std::string_view left_out) {
  CheckModelName(given.name);
  for (const auto &[key, value] : given.tags) CheckTag(key, value);
  ModelRecord model = given;
  model.files = PutModelFiles(objects_, path, left_out);
  model.created_ms = NowUnixMs();
  return database_->Write([&](Connection &db) {
    {
      auto next = db.Prepare(
          "INSERT INTO model_names (name, last_version) VALUES (?, 1) "
          "ON CONFLICT DO UPDATE SET last_version = last_version + 1 RETURNING last_version");
      next.Bind(model.name);
      next.Step();
      model.version = next.Int(0);
    }
    db.Prepare(
          "INSERT INTO models (name, version, run_id, created_ms, description, framework, framework_version, "
          "properties, datasets, lineage) "
          "VALUES (?,?,?,?,?,?,?,?,?,?)")
        .Bind(model.name)
        .Bind(model.version)
        .Bind(model.run_id)
        .Bind(model.created_ms)
        .Bind(model.description)
        .Bind(model.framework)
        .Bind(model.framework_version)
        .Bind(Json(model.properties).Dump())
        .Bind(model.datasets_json)
        .Bind(model.lineage_json)
        .Run();
    const int64_t id = db.LastInsertId();
    for (const auto &[key, value] : model.tags) {
      db.Prepare("INSERT INTO model_tags (model_id, key, value) VALUES (?,?,?)").Bind(id).Bind(key).Bind(value).Run();
    }
    for (const StoredFile &file : model.files) {
      db.Prepare("INSERT INTO model_files (model_id, path, sha256, size, modified_ms) VALUES (?,?,?,?,?)")
          .Bind(id)
          .Bind(file.path)
          .Bind(file.sha256)
          .Bind(static_cast<int64_t>(file.size))
          .Bind(file.modified_ms)
          .Run();
    }
    return model;
  });
}

ModelRecord ModelStore::Get(std::string_view name, int64_t version) {
  return database_->Read([&](Connection &db) {
    ModelRecord model;
    int64_t id = 0;
    {
      auto query =
          db.Prepare(std::string("SELECT ") + kColumns +
                     " FROM models WHERE name = ?1 AND (?2 = 0 OR version = ?2) ORDER BY version DESC LIMIT 1");
      query.Bind(name).Bind(version);
      if (!query.Step()) throw NoModel(db, name, version);
      id = query.Int(0);
      model = ReadModel(query);
    }
    ReadTags(db, id, &model);
    auto files = db.Prepare("SELECT path, sha256, size, modified_ms FROM model_files WHERE model_id = ? ORDER BY path");
    files.Bind(id);
    while (files.Step()) {
      model.files.push_back({files.Text(0), files.Text(1), static_cast<uint64_t>(files.Int(2)), files.Int(3)});
    }
    return model;
  });
}

ModelPage ModelStore::List(const ModelFilter &filter) {
  std::string sql = std::string("SELECT ") + kColumns + " FROM models WHERE 1";
  std::vector<std::string> texts;
  const auto text = [&](const char *condition, const std::string &value) {
    sql += condition;
    texts.push_back(value);
  };
  if (!filter.name.empty()) text(" AND name = ?", filter.name);
  if (!filter.run_id.empty()) text(" AND run_id = ? AND run_id <> ''", filter.run_id);
  if (!filter.framework.empty()) text(" AND framework = ?", filter.framework);
  const auto pairs = [&](const char *source, const std::vector<PairCondition> &conditions) {
    for (const PairCondition &pair : conditions) {
      text((std::string(" AND EXISTS (SELECT 1 FROM ") + source + " p.key = ?").c_str(), pair.key);
      if (pair.value) text(" AND p.value = ?", *pair.value);
      sql += ")";
    }
  };
  pairs("model_tags p WHERE p.model_id = models.id AND", filter.tags);
  pairs("json_each(models.properties) p WHERE", filter.properties);
  if (filter.latest) sql += " AND version = (SELECT MAX(m.version) FROM models m WHERE m.name = models.name)";
  int64_t last_version = 0;
  if (!filter.page_token.empty()) {
    // The last "name:version" of the page before; names hold no ':'.
    const auto parts = Split(filter.page_token, ':');
    const auto version = parts.size() == 2 ? ParseInt64(parts[1]) : std::nullopt;
    if (!version)
      throw Error::InvalidArgument("the page token '" + filter.page_token.substr(0, 40) +
                                   "' is not from a list of models");
    last_version = *version;
    text(" AND (name > ?", std::string(parts[0]));
    text(" OR (name = ? AND version < ?))", std::string(parts[0]));
  }
  const int64_t most = std::clamp<int64_t>(filter.limit <= 0 ? 100 : filter.limit, 1, 10000);
  sql += " ORDER BY name, version DESC LIMIT ?";
  return database_->Read([&](Connection &db) {
    ModelPage page;
    std::vector<int64_t> ids;
    {
      auto query = db.Prepare(sql);
      for (const std::string &value : texts) query.Bind(value);
      if (!filter.page_token.empty()) query.Bind(last_version);
      query.Bind(most + 1);
      while (query.Step()) {
        ids.push_back(query.Int(0));
        page.models.push_back(ReadModel(query));
      }
    }
    if (static_cast<int64_t>(page.models.size()) > most) {
      page.models.pop_back();
      page.next_page_token = page.models.back().name + ":" + std::to_string(page.models.back().version);
    }
    for (size_t i = 0; i < page.models.size(); ++i) ReadTags(db, ids[i], &page.models[i]);
    return page;
  });
}

void ModelStore::Download(const ModelRecord &model, const std::string &directory, bool overwrite) {
  MakeDirs(directory, 0755);
  for (const StoredFile &file : model.files) {
    if (!IsSafeRelativePath(file.path))
      throw Error::Corrupt("model '" + model.name + "' holds the path '" + file.path + "'");
    if (!overwrite && PathExists(directory + "/" + file.path)) {
      throw Error(Status::kAlreadyExists,
                  "'" + directory + "/" + file.path + "' exists already: remove it or choose another directory",
                  {{"path", directory + "/" + file.path}});
    }
  }
  for (const StoredFile &file : model.files) {
    const std::string path = directory + "/" + file.path;
    MakeDirs(ParentPath(path), 0755);
    const std::string temporary = path + ".tmp-" + RandomBase32(10);
    try {
      objects_->Export(file.sha256, temporary);
      if (Sha256File(temporary) != file.sha256) {
        throw Error::Corrupt("file '" + file.path + "' of model '" + model.name + ":" + std::to_string(model.version) +
                                 "' is damaged in the workspace (" + objects_->Path(file.sha256) + ")",
                             {{"path", objects_->Path(file.sha256)}});
      }
      RenamePath(temporary, path);
    } catch (...) {
      unlink(temporary.c_str());
      throw;
    }
  }
}

std::string ModelStore::FilePath(const ModelRecord &model, std::string_view path) const {
  for (const StoredFile &file : model.files) {
    if (file.path == path) return objects_->Path(file.sha256);
  }
  throw Error::NotFound("model '" + model.name + ":" + std::to_string(model.version) + "' has no file '" +
                        std::string(path) + "'");
}

void ModelStore::Delete(std::string_view name, int64_t version) {
  database_->Write(
      [&](Connection &db) { db.Prepare("DELETE FROM models WHERE id = ?").Bind(IdOf(db, name, version)).Run(); });
}

void ModelStore::SetTag(std::string_view name, int64_t version, const std::string &key, const std::string &value) {
  CheckTag(key, value);
  database_->Write([&](Connection &db) {
    db.Prepare(
          "INSERT INTO model_tags (model_id, key, value) VALUES (?,?,?) ON CONFLICT DO UPDATE SET value = "
          "excluded.value")
        .Bind(IdOf(db, name, version))
        .Bind(key)
        .Bind(value)
        .Run();
  });
}

void ModelStore::RemoveTag(std::string_view name, int64_t version, const std::string &key) {
  database_->Write([&](Connection &db) {
    db.Prepare("DELETE FROM model_tags WHERE model_id = ? AND key = ?").Bind(IdOf(db, name, version)).Bind(key).Run();
  });
}

}  // namespace trainyard

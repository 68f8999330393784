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
    "id, name, version, run_id, created_ms, description, framework, framework_version, properties";

Error NoModel(std::string_view name, int64_t version) {
  const std::string id = std::string(name) + (version == 0 ? "" : ":" + std::to_string(version));
  return Error::NotFound("there is no model '" + id + "' in the workspace", {{"model", id}});
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
  if (!query.Step()) throw NoModel(name, version);
  return query.Int(0);
}

StoredFile PutModelFile(ObjectStore *objects, const std::string &path, const std::string &name) {
  const ObjectInfo object = objects->PutFile(path, /*sync=*/false);
  const auto info = Stat(path);
  return {name, object.sha256, object.size, info ? info->modified_ms : 0};
}

std::vector<StoredFile> PutModelFiles(ObjectStore *objects, const std::string &path) {
  const auto info = Stat(path);
  if (!info) throw Error::NotFound("cannot register a model: '" + path + "' is not there", {{"path", path}});
  std::vector<StoredFile> files;
  if (info->kind == FileInfo::Kind::kDirectory) {
    for (const std::string &name : ListTree(path)) {
      const auto entry = Stat(path + "/" + name);  // through symlinks: a model is its files
      if (entry && entry->kind == FileInfo::Kind::kFile)
        files.push_back(PutModelFile(objects, path + "/" + name, name));
    }
    if (files.empty())
      throw Error::InvalidArgument("cannot register a model: there is no file in '" + path + "'", {{"path", path}});
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

ModelRecord ModelStore::Register(const ModelRecord &given, const std::string &path) {
  CheckModelName(given.name);
  for (const auto &[key, value] : given.tags) CheckTag(key, value);
  ModelRecord model = given;
  model.files = PutModelFiles(objects_, path);
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
          "properties) "
          "VALUES (?,?,?,?,?,?,?,?)")
        .Bind(model.name)
        .Bind(model.version)
        .Bind(model.run_id)
        .Bind(model.created_ms)
        .Bind(model.description)
        .Bind(model.framework)
        .Bind(model.framework_version)
        .Bind(Json(model.properties).Dump())
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
      if (!query.Step()) throw NoModel(name, version);
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

ModelPage ModelStore::List(std::string_view name, std::string_view run_id, int32_t limit, std::string_view page_token) {
  // The token is the last "name:version" of the page; names hold no ':'.
  std::string last_name;
  int64_t last_version = 0;
  if (!page_token.empty()) {
    const auto parts = Split(page_token, ':');
    const auto version = parts.size() == 2 ? ParseInt64(parts[1]) : std::nullopt;
    if (!version)
      throw Error::InvalidArgument("the page token '" + std::string(page_token.substr(0, 40)) +
                                   "' is not from a list of models");
    last_name = parts[0];
    last_version = *version;
  }
  const int64_t most = std::clamp<int64_t>(limit <= 0 ? 100 : limit, 1, 10000);
  return database_->Read([&](Connection &db) {
    ModelPage page;
    std::vector<int64_t> ids;
    {
      auto query = db.Prepare(std::string("SELECT ") + kColumns +
                              " FROM models WHERE (?1 = '' OR name = ?1) AND (?2 = '' OR run_id = ?2) "
                              "AND (name > ?3 OR (name = ?3 AND version < ?4)) ORDER BY name, version DESC LIMIT ?5");
      query.Bind(name).Bind(run_id).Bind(last_name).Bind(last_version).Bind(most + 1);
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

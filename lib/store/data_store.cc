#include "store/data_store.h"

#include "core/run_id.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/text.h"

namespace trainyard {

void DataStore::RegisterDatastore(const std::string &name, const std::string &directory) {
  CheckRegistryName("datastore", name);
  if (name == kDefaultDatastore) {
    throw Error(Status::kAlreadyExists, "datastore '" + name + "' belongs to the workspace: choose another name",
                {{"datastore", name}});
  }
  const std::string there = database_->Write([&](Connection &db) {
    db.Prepare("INSERT INTO datastores (name, directory, created_ms) VALUES (?,?,?) ON CONFLICT DO NOTHING")
        .Bind(name)
        .Bind(directory)
        .Bind(NowUnixMs())
        .Run();
    auto query = db.Prepare("SELECT directory FROM datastores WHERE name = ?");
    query.Bind(name);
    return query.Step() ? query.Text(0) : std::string();
  });
  if (there == directory) return;
  throw Error(Status::kAlreadyExists,
              "datastore '" + name + "' is already '" + there + "': choose another name, or delete it first",
              {{"datastore", name}});
}

std::string DataStore::DatastoreDirectory(const std::string &name) {
  if (name == kDefaultDatastore) {
    std::string directory = database_->layout().Root() + "/datastores/" + name;
    MakeDirs(directory);
    return directory;
  }
  const std::string directory = database_->Read([&](Connection &db) {
    auto query = db.Prepare("SELECT directory FROM datastores WHERE name = ?");
    query.Bind(name);
    return query.Step() ? query.Text(0) : std::string();
  });
  if (!directory.empty()) return directory;
  throw Error::NotFound("there is no datastore '" + name + "' in the workspace" + DidYouMean(name, Datastores()) +
                            "; register it with ty_datastore_register",
                        {{"datastore", name}});
}

std::vector<std::string> DataStore::Datastores() {
  return database_->Read([](Connection &db) {
    std::vector<std::string> names;
    auto query = db.Prepare("SELECT name FROM datastores UNION SELECT ?1 ORDER BY name");
    query.Bind(kDefaultDatastore);
    while (query.Step()) names.push_back(query.Text(0));
    return names;
  });
}

void DataStore::DeleteDatastore(const std::string &name) {
  if (name == kDefaultDatastore) {
    throw Error::InvalidState("datastore '" + name + "' belongs to the workspace and cannot be deleted");
  }
  DatastoreDirectory(name);
  database_->Write([&](Connection &db) { db.Prepare("DELETE FROM datastores WHERE name = ?").Bind(name).Run(); });
}

DataAsset DataStore::RegisterAsset(const DataAsset &given) {
  CheckRegistryName("data", given.name);
  DataAsset asset = given;
  asset.created_ms = NowUnixMs();
  return database_->Write([&](Connection &db) {
    {
      auto next = db.Prepare(
          "INSERT INTO data_names (name, last_version) VALUES (?, 1) "
          "ON CONFLICT DO UPDATE SET last_version = last_version + 1 RETURNING last_version");
      next.Bind(asset.name);
      next.Step();
      asset.version = next.Int(0);
    }
    db.Prepare("INSERT INTO data_assets (name, version, source, created_ms, description, tags) VALUES (?,?,?,?,?,?)")
        .Bind(asset.name)
        .Bind(asset.version)
        .Bind(asset.source)
        .Bind(asset.created_ms)
        .Bind(asset.description)
        .Bind(Json(asset.tags).Dump())
        .Run();
    return asset;
  });
}

DataAsset DataStore::Asset(const std::string &name, int64_t version) {
  DataAsset asset = database_->Read([&](Connection &db) {
    DataAsset found;
    auto query = db.Prepare(
        "SELECT name, version, source, created_ms, description, tags FROM data_assets "
        "WHERE name = ?1 AND (?2 = 0 OR version = ?2) ORDER BY version DESC LIMIT 1");
    query.Bind(name).Bind(version);
    if (!query.Step()) return found;
    found = {query.Text(0), query.Int(1), query.Text(2), query.Int(3), query.Text(4), {}};
    found.tags = Json::Parse(query.Text(5), "tags").AsStringMap();
    return found;
  });
  if (!asset.name.empty()) return asset;
  const std::string id = name + (version == 0 ? "" : ":" + std::to_string(version));
  const std::vector<int64_t> versions = AssetVersions(name);
  throw Error::NotFound("there is no data asset '" + id + "' in the workspace" +
                            (versions.empty() ? DidYouMean(name, Assets())
                                              : "; the latest version is " + std::to_string(versions.back())),
                        {{"data", id}});
}

void DataStore::DeleteAsset(const std::string &name, int64_t version) {
  Asset(name, version);
  database_->Write([&](Connection &db) {
    db.Prepare("DELETE FROM data_assets WHERE name = ? AND version = ?").Bind(name).Bind(version).Run();
  });
}

std::vector<std::string> DataStore::Assets() {
  return database_->Read([](Connection &db) {
    std::vector<std::string> names;
    auto query = db.Prepare("SELECT DISTINCT name FROM data_assets ORDER BY name");
    while (query.Step()) names.push_back(query.Text(0));
    return names;
  });
}

std::vector<int64_t> DataStore::AssetVersions(const std::string &name) {
  return database_->Read([&](Connection &db) {
    std::vector<int64_t> versions;
    auto query = db.Prepare("SELECT version FROM data_assets WHERE name = ? ORDER BY version");
    query.Bind(name);
    while (query.Step()) versions.push_back(query.Int(0));
    return versions;
  });
}

DataReference DataStore::Locate(const DataReference &reference) {
  switch (reference.kind) {
    case DataReference::Kind::kAsset:
      return Locate(DataReference::Parse(Asset(reference.name, reference.version).source));
    case DataReference::Kind::kDatastore: {
      DataReference path;
      path.path = DatastoreDirectory(reference.name);
      if (!reference.path.empty()) path.path = JoinPath(path.path, reference.path);
      return path;
    }
    default:
      return reference;
  }
}

}  // namespace trainyard

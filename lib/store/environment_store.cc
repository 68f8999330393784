#include "store/environment_store.h"

#include "util/clock.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {

Environment EnvironmentStore::Register(const Environment &given) {
  given.Check();
  if (IsReservedEnvironmentName(given.name)) {
    throw Error::InvalidArgument("environment name '" + given.name +
                                 "' is reserved: names that start with AzureML or Microsoft cannot be registered; "
                                 "clone it under a name of your own");
  }
  Environment environment = given;
  return database_->Write([&](Connection &db) {
    {
      auto next = db.Prepare(
          "INSERT INTO environment_names (name, last_version) VALUES (?, 1) "
          "ON CONFLICT DO UPDATE SET last_version = last_version + 1 RETURNING last_version");
      next.Bind(environment.name);
      next.Step();
      environment.version = std::to_string(next.Int(0));
    }
    db.Prepare("INSERT INTO environments (name, version, created_ms, hash, definition) VALUES (?,?,?,?,?)")
        .Bind(environment.name)
        .Bind(*ParseInt64(environment.version))
        .Bind(NowUnixMs())
        .Bind(environment.ContentHash())
        .Bind(environment.ToJson().Dump())
        .Run();
    return environment;
  });
}

std::optional<Environment> EnvironmentStore::Find(std::string_view name, int64_t version) {
  return database_->Read([&](Connection &db) -> std::optional<Environment> {
    auto query = db.Prepare(
        "SELECT definition FROM environments WHERE name = ?1 AND (?2 = 0 OR version = ?2) "
        "ORDER BY version DESC LIMIT 1");
    query.Bind(name).Bind(version);
    if (!query.Step()) return std::nullopt;
    return Environment::Parse(query.Text(0), "environment");
  });
}

std::vector<std::string> EnvironmentStore::Names() {
  return database_->Read([](Connection &db) {
    std::vector<std::string> names;
    auto query = db.Prepare("SELECT DISTINCT name FROM environments ORDER BY name");
    while (query.Step()) names.push_back(query.Text(0));
    return names;
  });
}

std::vector<int64_t> EnvironmentStore::Versions(std::string_view name) {
  return database_->Read([&](Connection &db) {
    std::vector<int64_t> versions;
    auto query = db.Prepare("SELECT version FROM environments WHERE name = ? ORDER BY version");
    query.Bind(name);
    while (query.Step()) versions.push_back(query.Int(0));
    return versions;
  });
}

bool EnvironmentStore::Delete(std::string_view name, int64_t version) {
  return database_->Write([&](Connection &db) {
    auto query = db.Prepare("DELETE FROM environments WHERE name = ? AND version = ? RETURNING 1");
    query.Bind(name).Bind(version);
    return query.Step();
  });
}

}  // namespace trainyard

#include "store/compute_store.h"

#include "core/run_state.h"
#include "util/clock.h"
#include "util/error.h"

namespace trainyard {
namespace {

std::optional<Compute> Read(Connection &db, std::string_view name) {
  auto query = db.Prepare("SELECT config FROM computes WHERE name = ?");
  query.Bind(name);
  if (!query.Step()) return std::nullopt;
  return Compute::FromJson(name, Json::Parse(query.Text(0), "compute"));
}

}  // namespace

Compute ComputeStore::GetOrCreate(const Compute &compute, bool *created) {
  return database_->Write([&](Connection &db) {
    const auto existing = Read(db, compute.name);
    *created = !existing;
    if (existing) return *existing;
    const std::string config = compute.ToJson().Dump();
    db.Prepare("INSERT INTO computes (name, config, created_ms) VALUES (?, ?, ?)")
        .Bind(compute.name)
        .Bind(config)
        .Bind(NowUnixMs())
        .Run();
    return compute;
  });
}

std::optional<Compute> ComputeStore::Find(std::string_view name) {
  return database_->Read([&](Connection &db) { return Read(db, name); });
}

std::vector<std::string> ComputeStore::List() {
  return database_->Read([&](Connection &db) {
    std::vector<std::string> names;
    auto query = db.Prepare("SELECT name FROM computes ORDER BY name");
    while (query.Step()) names.push_back(query.Text(0));
    return names;
  });
}

void ComputeStore::Delete(std::string_view name) {
  database_->Write([&](Connection &db) {
    {
      auto query = db.Prepare("SELECT COUNT(*) FROM runs WHERE compute = ? AND state NOT IN (?, ?, ?)");
      query.Bind(name);
      for (const RunState state : {RunState::kCompleted, RunState::kFailed, RunState::kCanceled}) {
        query.Bind(static_cast<int64_t>(state));
      }
      query.Step();
      if (query.Int(0) > 0) {
        throw Error(Status::kBusy,
                    "compute '" + std::string(name) + "' has " + std::to_string(query.Int(0)) +
                        " run(s) that have not ended: cancel them, or wait for them, before deleting it");
      }
    }
    db.Prepare("DELETE FROM computes WHERE name = ?").Bind(name).Run();
    if (db.Changes() == 0) throw Error::NotFound("there is no compute '" + std::string(name) + "' in the workspace");
  });
}

}  // namespace trainyard

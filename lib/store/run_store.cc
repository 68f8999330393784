#include "store/run_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "core/compute.h"
#include "core/run_id.h"
#include "store/run_record_io.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

Error NoRun(std::string_view id) {
  return Error::NotFound("there is no run '" + std::string(id.substr(0, 80)) + "' in the workspace",
                         {{"run_id", std::string(id)}});
}

void CheckPair(const char *what, const std::string &key, const std::string &value) {
  if (key.empty() || key.size() > RunStore::kMaxKey || !IsValidUtf8(key)) {
    throw Error::InvalidArgument(std::string(what) + " name '" + SanitizeUtf8(key.substr(0, 100)) + "' must be 1 to " +
                                 std::to_string(RunStore::kMaxKey) + " bytes of UTF-8");
  }
  if (value.size() > RunStore::kMaxValue || !IsValidUtf8(value)) {
    throw Error::InvalidArgument("the value of " + std::string(what) + " '" + key + "' must be at most " +
                                 std::to_string(RunStore::kMaxValue) + " bytes of UTF-8, got " +
                                 std::to_string(value.size()));
  }
}

int64_t SeqOf(Connection &db, std::string_view id) {
  auto query = db.Prepare("SELECT seq FROM runs WHERE id = ?");
  query.Bind(id);
  if (!query.Step()) throw NoRun(id);
  return query.Int(0);
}

std::map<std::string, std::string> ReadPairs(Connection &db, const char *table, int64_t seq) {
  std::map<std::string, std::string> pairs;
  auto query = db.Prepare("SELECT key, value FROM " + std::string(table) + " WHERE run_seq = ?");
  query.Bind(seq);
  while (query.Step()) pairs.emplace(query.Text(0), query.Text(1));
  return pairs;
}

void CheckCount(Connection &db, const char *table, const char *what, int64_t seq, size_t most) {
  auto query = db.Prepare("SELECT COUNT(*) FROM " + std::string(table) + " WHERE run_seq = ?");
  query.Bind(seq);
  query.Step();
  if (query.Int(0) > static_cast<int64_t>(most)) {
    throw Error::InvalidArgument("a run can have at most " + std::to_string(most) + " " + what);
  }
}

void PutTags(Connection &db, int64_t seq, const std::map<std::string, std::string> &tags) {
  for (const auto &[key, value] : tags) {
    CheckPair("tag", key, value);
    db.Prepare(
          "INSERT INTO run_tags (run_seq, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = "
          "excluded.value")
        .Bind(seq)
        .Bind(key)
        .Bind(value)
        .Run();
  }
  if (!tags.empty()) CheckCount(db, "run_tags", "tags", seq, RunStore::kMaxTags);
}

void PutProperties(Connection &db, std::string_view id, int64_t seq,
                   const std::map<std::string, std::string> &properties) {
  for (const auto &[key, value] : properties) {
    CheckPair("property", key, value);
    db.Prepare("INSERT INTO run_properties (run_seq, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .Bind(seq)
        .Bind(key)
        .Bind(value)
        .Run();
    if (db.Changes() > 0) continue;
    auto query = db.Prepare("SELECT value FROM run_properties WHERE run_seq = ? AND key = ?");
    query.Bind(seq).Bind(key);
    if (query.Step() && query.Text(0) != value) {
      throw Error(Status::kAlreadyExists,
                  "run '" + std::string(id) + "' has the property '" + key +
                      "' already: properties cannot be changed, use a tag",
                  {{"run_id", std::string(id)}, {"key", key}});
    }
  }
  if (!properties.empty()) CheckCount(db, "run_properties", "properties", seq, RunStore::kMaxProperties);
}

RunRecord ReadWhole(Connection &db, int64_t seq) {
  RunRecord run;
  {
    auto query = db.Prepare(std::string("SELECT ") + kRunColumns + " FROM runs WHERE seq = ?");
    query.Bind(seq);
    if (!query.Step()) throw Error::Internal("a run vanished from the database");
    run = ReadRun(query);
  }
  auto job = db.Prepare("SELECT job_json FROM run_jobs WHERE run_seq = ?");
  job.Bind(seq);
  if (job.Step()) run.job_json = job.Text(0);
  run.tags = ReadPairs(db, "run_tags", seq);
  run.properties = ReadPairs(db, "run_properties", seq);
  return run;
}

// Makes the moves of `states` on `run` and writes the rows of its history.
void Move(Connection &db, int64_t seq, RunRecord *run, const std::vector<RunState> &states, int64_t now) {
  if (states.empty()) return;
  int64_t last = 0, last_time = run->created_ms;
  {
    auto query = db.Prepare("SELECT seq, time_ms FROM run_states WHERE run_seq = ? ORDER BY seq DESC LIMIT 1");
    query.Bind(seq);
    if (query.Step()) {
      last = query.Int(0);
      last_time = query.Int(1);
    }
  }
  const int64_t time = std::max(now, last_time);  // the clock may have gone backwards
  for (const RunState to : states) {
    if (!IsLegalTransition(run->state, to)) {
      throw Error::InvalidState("run '" + run->id + "' cannot go from " + std::string(RunStateName(run->state)) +
                                    " to " + std::string(RunStateName(to)),
                                {{"run_id", run->id}, {"state", std::string(RunStateName(run->state))}});
    }
    run->state = to;
    if (to == RunState::kRunning && run->started_ms == 0) run->started_ms = time;
    if (IsFinal(to) && run->ended_ms == 0) run->ended_ms = time;
    db.Prepare("INSERT INTO run_states (run_seq, seq, state, time_ms) VALUES (?, ?, ?, ?)")
        .Bind(seq)
        .Bind(++last)
        .Bind(static_cast<int64_t>(to))
        .Bind(time)
        .Run();
  }
}

void WriteBack(Connection &db, int64_t seq, const RunRecord &run) {
  db.Prepare(
        "UPDATE runs SET display_name = ?, state = ?, snapshot_id = ?, rank_count = ?, started_ms = ?, ended_ms = ?, "
        "error = ?, supervisor = ?, warnings = ? WHERE seq = ?")
      .Bind(run.display_name)
      .Bind(static_cast<int64_t>(run.state))
      .Bind(run.snapshot_id)
      .Bind(int64_t{run.rank_count})
      .Bind(run.started_ms)
      .Bind(run.ended_ms)
      .Bind(ErrorToText(run.error))
      .Bind(IdentityToText(run.supervisor))
      .Bind(WarningsToText(run.warnings))
      .Bind(seq)
      .Run();
}

int64_t Insert(Connection &db, const RunRecord &run) {
  db.Prepare("INSERT INTO experiments (name, created_ms) VALUES (?, ?) ON CONFLICT DO NOTHING")
      .Bind(run.experiment)
      .Bind(run.created_ms)
      .Run();
  db.Prepare(
        "INSERT INTO runs (id, experiment, display_name, kind, state, parent_id, root_id, compute, job_hash, "
        "snapshot_id, rank_count, created_ms, started_ms, ended_ms, error, submitter, supervisor, warnings) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
      .Bind(run.id)
      .Bind(run.experiment)
      .Bind(run.display_name)
      .Bind(static_cast<int64_t>(run.kind))
      .Bind(static_cast<int64_t>(run.state))
      .Bind(run.parent_id)
      .Bind(run.root_id)
      .Bind(run.compute)
      .Bind(run.job_hash)
      .Bind(run.snapshot_id)
      .Bind(int64_t{run.rank_count})
      .Bind(run.created_ms)
      .Bind(run.started_ms)
      .Bind(run.ended_ms)
      .Bind(ErrorToText(run.error))
      .Bind(IdentityToText(run.submitter))
      .Bind(IdentityToText(run.supervisor))
      .Bind(WarningsToText(run.warnings))
      .Run();
  const int64_t seq = db.LastInsertId();
  db.Prepare("INSERT INTO run_jobs (run_seq, job_json) VALUES (?, ?)").Bind(seq).Bind(run.job_json).Run();
  db.Prepare("INSERT INTO run_states (run_seq, seq, state, time_ms) VALUES (?, 1, ?, ?)")
      .Bind(seq)
      .Bind(static_cast<int64_t>(RunState::kNotStarted))
      .Bind(run.created_ms)
      .Run();
  return seq;
}

// Of a new run; throws unless its parent can have children.
std::string RootOf(Connection &db, const RunRecord &run) {
  if (run.parent_id.empty()) return "";
  if (run.parent_id == run.id) {
    throw Error::InvalidArgument("run '" + run.id + "' cannot be its own parent", {{"run_id", run.id}});
  }
  auto query = db.Prepare("SELECT root_id, state FROM runs WHERE id = ?");
  query.Bind(run.parent_id);
  if (!query.Step()) {
    throw Error::NotFound("there is no run '" + run.parent_id.substr(0, 80) + "' in the workspace to be the parent",
                          {{"run_id", run.parent_id}});
  }
  const auto state = static_cast<RunState>(query.Int(1));
  if (state == RunState::kCancelRequested || state == RunState::kCanceled) {
    throw Error::InvalidState("run '" + run.parent_id + "' was canceled: it cannot have new children",
                              {{"run_id", run.parent_id}});
  }
  return query.Text(0).empty() ? run.parent_id : query.Text(0);
}

// It may have been deleted since the job was checked; from the commit on the run keeps it from being deleted.
void CheckComputeIsThere(Connection &db, const std::string &name) {
  if (name == kLocalCompute) return;
  auto query = db.Prepare("SELECT 1 FROM computes WHERE name = ?");
  query.Bind(name);
  if (!query.Step()) throw Error::NotFound("compute '" + name + "' was deleted meanwhile", {{"compute", name}});
}

void CheckDisplayName(const std::string &name) {
  if (name.size() > RunStore::kMaxDisplayName || !IsValidUtf8(name)) {
    throw Error::InvalidArgument("a run's display name must be at most " + std::to_string(RunStore::kMaxDisplayName) +
                                 " bytes of UTF-8");
  }
}

}  // namespace

RunStore::Created RunStore::Create(const RunRecord &given, const std::vector<RunState> &states,
                                   const std::function<void()> &inside) {
  CheckRunId(given.id);
  CheckExperimentName(given.experiment);
  CheckDisplayName(given.display_name);
  const Created result = database_->Write([&](Connection &db) -> Created {
    {
      auto query = db.Prepare("SELECT seq, job_hash FROM runs WHERE id = ?");
      query.Bind(given.id);
      if (query.Step()) {
        if (query.Text(1) == given.job_hash) return {ReadWhole(db, query.Int(0)), true};
        throw Error(Status::kAlreadyExists,
                    "run '" + given.id + "' exists already with another job: choose another run id",
                    {{"run_id", given.id}});
      }
    }
    RunRecord run = given;
    run.state = RunState::kNotStarted;
    run.root_id = RootOf(db, run);
    if (run.created_ms == 0) run.created_ms = NowUnixMs();
    const int64_t seq = Insert(db, run);
    PutTags(db, seq, run.tags);
    PutProperties(db, run.id, seq, run.properties);
    Move(db, seq, &run, states, NowUnixMs());
    if (!states.empty()) WriteBack(db, seq, run);
    const RunLayout layout = database_->layout().Run(run.id);
    for (const std::string &directory :
         {layout.Root(), layout.UserLogs(), layout.SystemLogs(), layout.Journal(), layout.Control()}) {
      MakeDirs(directory, 0700);
    }
    CheckComputeIsThere(db, run.compute);
    if (inside) inside();
    return {std::move(run), false};
  });
  RingBell(given.id);
  return result;
}

std::optional<RunRecord> RunStore::Find(std::string_view id) {
  return database_->Read([&](Connection &db) -> std::optional<RunRecord> {
    int64_t seq = 0;
    {
      auto query = db.Prepare("SELECT seq FROM runs WHERE id = ?");
      query.Bind(id);
      if (!query.Step()) return std::nullopt;
      seq = query.Int(0);
    }
    return ReadWhole(db, seq);
  });
}

RunRecord RunStore::Get(std::string_view id) {
  auto run = Find(id);
  if (!run) throw NoRun(id);
  return *std::move(run);
}

RunPage RunStore::List(const RunFilter &filter) {
  std::string sql = std::string("SELECT ") + kRunColumns + " FROM runs WHERE 1";
  std::vector<std::string> texts;
  const auto text = [&](const char *condition, const std::string &value) {
    sql += condition;
    texts.push_back(value);
  };
  if (!filter.experiment.empty()) text(" AND experiment = ?", filter.experiment);
  if (!filter.parent_id.empty()) text(" AND parent_id = ? AND parent_id <> ''", filter.parent_id);
  if (!filter.ancestor_id.empty()) {
    text(
        " AND id IN (WITH RECURSIVE below(id) AS (SELECT id FROM runs WHERE parent_id = ? AND parent_id <> '' UNION "
        "SELECT r.id FROM runs r JOIN below b ON r.parent_id = b.id WHERE r.parent_id <> '') SELECT id FROM below)",
        filter.ancestor_id);
  }
  if (filter.top_level) sql += " AND parent_id = ''";
  const auto pairs = [&](const char *table, const std::vector<PairCondition> &conditions) {
    for (const PairCondition &pair : conditions) {
      text((" AND EXISTS (SELECT 1 FROM " + std::string(table) + " p WHERE p.run_seq = runs.seq AND p.key = ?").c_str(),
           pair.key);
      if (pair.value) text(" AND p.value = ?", *pair.value);
      sql += ")";
    }
  };
  pairs("run_tags", filter.tags);
  pairs("run_properties", filter.properties);
  std::vector<int64_t> numbers;
  const auto one_of = [&](const char *column, const auto &values) {
    if (values.empty()) return;
    sql += std::string(" AND ") + column + " IN (";
    for (size_t i = 0; i < values.size(); ++i) {
      sql += i == 0 ? "?" : ",?";
      numbers.push_back(static_cast<int64_t>(values[i]));
    }
    sql += ")";
  };
  one_of("state", filter.states);
  one_of("kind", filter.kinds);
  const auto number = [&](const char *condition, int64_t value) {
    sql += condition;
    numbers.push_back(value);
  };
  if (filter.created_from_ms != 0) number(" AND created_ms >= ?", filter.created_from_ms);
  if (filter.created_to_ms != 0) number(" AND created_ms < ?", filter.created_to_ms);
  if (!filter.page_token.empty()) {
    const auto after = ParseInt64(filter.page_token);
    if (!after)
      throw Error::InvalidArgument("the page token '" + filter.page_token.substr(0, 40) +
                                   "' is not from a list of runs");
    number(" AND seq < ?", *after);
  }
  const int64_t limit = std::clamp<int64_t>(filter.limit <= 0 ? 100 : filter.limit, 1, 10000);
  number(" ORDER BY seq DESC LIMIT ?", limit + 1);
  return database_->Read([&](Connection &db) {
    RunPage page;
    std::vector<int64_t> seqs;
    bool more = false;
    {
      auto query = db.Prepare(sql);
      for (const std::string &value : texts) query.Bind(value);
      for (const int64_t value : numbers) query.Bind(value);
      while (query.Step()) {
        if (static_cast<int64_t>(page.runs.size()) == limit) {
          more = true;
          break;
        }
        seqs.push_back(query.Int(0));
        page.runs.push_back(ReadRun(query));
      }
    }
    for (size_t i = 0; i < seqs.size(); ++i) {
      page.runs[i].tags = ReadPairs(db, "run_tags", seqs[i]);
      page.runs[i].properties = ReadPairs(db, "run_properties", seqs[i]);
    }
    if (more) page.next_page_token = std::to_string(seqs.back());
    return page;
  });
}

std::vector<ExperimentSummary> RunStore::ListExperiments() {
  return database_->Read([&](Connection &db) {
    std::vector<ExperimentSummary> experiments;
    auto query = db.Prepare(
        "SELECT name, created_ms, (SELECT COUNT(*) FROM runs WHERE experiment = name) FROM experiments ORDER BY name");
    while (query.Step()) experiments.push_back({query.Text(0), query.Int(1), query.Int(2)});
    return experiments;
  });
}

std::optional<RunRecord> RunStore::Apply(std::string_view id, const RunChange &change) {
  if (change.display_name) CheckDisplayName(*change.display_name);
  auto result = database_->Write([&](Connection &db) -> std::optional<RunRecord> {
    const int64_t seq = SeqOf(db, id);
    RunRecord run = ReadWhole(db, seq);
    if (!change.only_from.empty() &&
        std::find(change.only_from.begin(), change.only_from.end(), run.state) == change.only_from.end()) {
      return std::nullopt;
    }
    if (change.started_ms) run.started_ms = *change.started_ms;
    if (change.ended_ms) run.ended_ms = *change.ended_ms;
    if (change.snapshot_id) run.snapshot_id = *change.snapshot_id;
    if (change.display_name) run.display_name = *change.display_name;
    if (change.rank_count) run.rank_count = *change.rank_count;
    if (change.supervisor) run.supervisor = *change.supervisor;
    if (change.error) run.error = *change.error;
    run.warnings.insert(run.warnings.end(), change.warnings.begin(), change.warnings.end());
    Move(db, seq, &run, change.states, change.time_ms != 0 ? change.time_ms : NowUnixMs());
    WriteBack(db, seq, run);
    for (const std::string &key : change.removed_tags) {
      db.Prepare("DELETE FROM run_tags WHERE run_seq = ? AND key = ?").Bind(seq).Bind(key).Run();
    }
    PutTags(db, seq, change.tags);
    PutProperties(db, id, seq, change.properties);
    return ReadWhole(db, seq);
  });
  if (result) RingBell(id);
  return result;
}

RunRecord RunStore::Transition(std::string_view id, RunState to, const std::optional<RunError> &error) {
  RunChange change;
  change.states = {to};
  change.error = error;
  return *Apply(id, change);
}

std::vector<StateChange> RunStore::History(std::string_view id, int64_t after) {
  return database_->Read([&](Connection &db) {
    std::vector<StateChange> changes;
    auto query = db.Prepare("SELECT seq, state, time_ms FROM run_states WHERE run_seq = ? AND seq > ? ORDER BY seq");
    query.Bind(SeqOf(db, id)).Bind(after);
    while (query.Step()) changes.push_back({query.Int(0), static_cast<RunState>(query.Int(1)), query.Int(2)});
    return changes;
  });
}

RunState RunStore::State(std::string_view id) {
  return database_->Read([&](Connection &db) {
    auto query = db.Prepare("SELECT state FROM runs WHERE id = ?");
    query.Bind(id);
    if (!query.Step()) throw NoRun(id);
    return static_cast<RunState>(query.Int(0));
  });
}

void RunStore::SetTag(std::string_view id, const std::string &key, const std::string &value) {
  database_->Write([&](Connection &db) { PutTags(db, SeqOf(db, id), {{key, value}}); });
  RingBell(id);
}

void RunStore::RemoveTag(std::string_view id, const std::string &key) {
  database_->Write([&](Connection &db) {
    db.Prepare("DELETE FROM run_tags WHERE run_seq = ? AND key = ?").Bind(SeqOf(db, id)).Bind(key).Run();
  });
  RingBell(id);
}

void RunStore::SetProperty(std::string_view id, const std::string &key, const std::string &value) {
  database_->Write([&](Connection &db) { PutProperties(db, id, SeqOf(db, id), {{key, value}}); });
  RingBell(id);
}

void RunStore::Delete(std::string_view id) {
  const std::vector<std::string> gone = database_->Write([&](Connection &db) {
    SeqOf(db, id);
    std::vector<std::string> ids;
    auto query = db.Prepare(
        "WITH RECURSIVE tree(id) AS (VALUES (?) UNION SELECT r.id FROM runs r JOIN tree t ON r.parent_id = t.id WHERE "
        "r.parent_id <> '') SELECT id, state FROM runs WHERE id IN tree");
    query.Bind(id);
    while (query.Step()) {
      ids.push_back(query.Text(0));
      const auto state = static_cast<RunState>(query.Int(1));
      if (IsFinal(state) || state == RunState::kNotStarted) continue;
      throw Error::InvalidState((ids.back() == id ? "run '" : "run '" + std::string(id) + "' has a descendant '") +
                                    ids.back() + "', which is " + std::string(RunStateName(state)) +
                                    ": cancel it before deleting it",
                                {{"run_id", ids.back()}});
    }
    for (const std::string &run : ids) db.Prepare("DELETE FROM runs WHERE id = ?").Bind(run).Run();
    return ids;
  });
  // After the commit: a crash in between leaves directories that nothing refers to; prune removes them.
  for (const std::string &run : gone) RemoveTree(database_->layout().Run(run).Root());
}

void RunStore::RingBell(std::string_view id) {
  const int fd = open(database_->layout().Run(id).Bell().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;  // the watchers poll as well
  const UniqueFd owner(fd);
  const int64_t now = MonotonicNs();
  if (pwrite(fd, &now, sizeof now, 0) < 0) errno = 0;
}

}  // namespace trainyard

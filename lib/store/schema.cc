#include "store/schema.h"

namespace trainyard {

// runs.seq orders runs by creation, whatever the clock said. JSON columns (error, submitter, supervisor, warnings) are
// values that are read and written whole. runs.parent_id is '' for a run without a parent, runs.root_id then too.
const char kSchema[] = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

CREATE TABLE experiments (name TEXT PRIMARY KEY, created_ms INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE runs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  experiment TEXT NOT NULL,
  display_name TEXT NOT NULL,
  kind INTEGER NOT NULL,
  state INTEGER NOT NULL,
  parent_id TEXT NOT NULL,
  root_id TEXT NOT NULL,
  compute TEXT NOT NULL,
  job_hash TEXT NOT NULL,
  snapshot_id TEXT NOT NULL,
  rank_count INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  started_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL,
  error TEXT NOT NULL,
  submitter TEXT NOT NULL,
  supervisor TEXT NOT NULL,
  warnings TEXT NOT NULL DEFAULT ''
);
CREATE INDEX runs_by_experiment ON runs (experiment, seq);
CREATE INDEX runs_by_state ON runs (state, seq);
CREATE INDEX runs_by_parent ON runs (parent_id, seq) WHERE parent_id <> '';
CREATE INDEX runs_without_parent ON runs (seq) WHERE parent_id = '';

CREATE TABLE run_jobs (run_seq INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE, job_json TEXT NOT NULL);

CREATE TABLE run_states (
  run_seq INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  state INTEGER NOT NULL,
  time_ms INTEGER NOT NULL,
  PRIMARY KEY (run_seq, seq)
) WITHOUT ROWID;

CREATE TABLE run_tags (
  run_seq INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (run_seq, key)
) WITHOUT ROWID;
CREATE INDEX run_tags_by_key ON run_tags (key, value, run_seq);

CREATE TABLE run_properties (
  run_seq INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (run_seq, key)
) WITHOUT ROWID;
CREATE INDEX run_properties_by_key ON run_properties (key, value, run_seq);

CREATE TABLE computes (name TEXT PRIMARY KEY, config TEXT NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE metric_names (
  id INTEGER PRIMARY KEY,
  run_seq INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  name TEXT NOT NULL,
  UNIQUE (run_seq, name)
);

CREATE TABLE metric_segments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_seq INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  rank INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  number INTEGER NOT NULL,
  skipped_bytes INTEGER NOT NULL,
  UNIQUE (run_seq, rank, attempt, number)
);

CREATE TABLE metric_chunks (
  id INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  metric_kind INTEGER NOT NULL,
  name_id INTEGER REFERENCES metric_names ON DELETE CASCADE,
  segment_id INTEGER NOT NULL REFERENCES metric_segments ON DELETE CASCADE,
  rank INTEGER NOT NULL,
  first_ordinal INTEGER NOT NULL,
  last_ordinal INTEGER NOT NULL,
  min_step INTEGER NOT NULL,
  max_step INTEGER NOT NULL,
  first_time INTEGER NOT NULL,
  last_time INTEGER NOT NULL,
  count INTEGER NOT NULL,
  min_value,
  max_value,
  last_step INTEGER NOT NULL,
  last_value,
  data BLOB NOT NULL
);
CREATE INDEX metric_chunks_by_segment ON metric_chunks (segment_id, first_ordinal, last_ordinal);
CREATE INDEX metric_chunks_by_name ON metric_chunks
  (name_id, rank, segment_id, first_ordinal, metric_kind, min_step, max_step, count, min_value, max_value, last_time,
   last_step, last_value);

CREATE TABLE model_names (name TEXT PRIMARY KEY, last_version INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE models (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  run_id TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  description TEXT NOT NULL,
  framework TEXT NOT NULL,
  framework_version TEXT NOT NULL,
  properties TEXT NOT NULL,
  datasets TEXT NOT NULL,
  lineage TEXT NOT NULL,
  UNIQUE (name, version)
);
CREATE INDEX models_by_run ON models (run_id) WHERE run_id <> '';

CREATE TABLE model_tags (
  model_id INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (model_id, key)
) WITHOUT ROWID;

CREATE TABLE model_files (
  model_id INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
  path TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  size INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  PRIMARY KEY (model_id, path)
) WITHOUT ROWID;
CREATE INDEX model_files_by_hash ON model_files (sha256);

CREATE TABLE environment_names (name TEXT PRIMARY KEY, last_version INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE environments (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  hash TEXT NOT NULL,
  definition TEXT NOT NULL,
  PRIMARY KEY (name, version)
) WITHOUT ROWID;

CREATE TABLE datastores (name TEXT PRIMARY KEY, directory TEXT NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE data_names (name TEXT PRIMARY KEY, last_version INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE data_assets (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  source TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  description TEXT NOT NULL,
  tags TEXT NOT NULL,
  PRIMARY KEY (name, version)
) WITHOUT ROWID;
)sql";

const std::vector<Migration> &SchemaMigrations() {
  static const std::vector<Migration> kMigrations = {};  // format 1 is the first
  return kMigrations;
}

}  // namespace trainyard

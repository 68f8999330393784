// A workspace directory, opened: the parts of the store over one database. Thread-safe; in a forked child every call
// that reaches the database answers Error kForked.
#pragma once

#include <memory>
#include <string>

#include "store/compute_store.h"
#include "store/data_store.h"
#include "store/database.h"
#include "store/environment_store.h"
#include "store/layout.h"
#include "store/metric_store.h"
#include "store/model_store.h"
#include "store/object_store.h"
#include "store/run_store.h"

namespace trainyard {

class Store {
 public:
  // Makes the workspace when `options.create` and it is absent.
  explicit Store(const std::string &root, const DatabaseOptions &options = {})
      : layout_(AbsolutePath(root)),
        database_(layout_, options),
        runs_(&database_),
        computes_(&database_),
        metrics_(&database_),
        objects_(layout_),
        models_(&database_, &objects_),
        environments_(&database_),
        data_(&database_) {}
  static std::shared_ptr<Store> Open(const std::string &root, const DatabaseOptions &options = {}) {
    return std::make_shared<Store>(root, options);
  }

  const Layout &layout() const { return layout_; }
  RunLayout RunPaths(std::string_view run_id) const { return layout_.Run(run_id); }
  Database &database() { return database_; }
  RunStore &runs() { return runs_; }
  ComputeStore &computes() { return computes_; }
  MetricStore &metrics() { return metrics_; }
  ObjectStore &objects() { return objects_; }
  ModelStore &models() { return models_; }
  EnvironmentStore &environments() { return environments_; }
  DataStore &data() { return data_; }

 private:
  Layout layout_;
  Database database_;
  RunStore runs_;
  ComputeStore computes_;
  MetricStore metrics_;
  ObjectStore objects_;
  ModelStore models_;
  EnvironmentStore environments_;
  DataStore data_;
};

}  // namespace trainyard

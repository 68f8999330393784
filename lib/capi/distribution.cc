#include "trainyard/distribution.h"

#include <utility>

#include "capi/handles.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_out;

namespace {

ty_distribution *Release(Distribution distribution) {
  return std::make_unique<ty_distribution>(ty_distribution{std::move(distribution)}).release();
}

}  // namespace

extern "C" {

ty_status ty_distribution_new_mpi(int32_t node_count, int32_t process_count_per_node,
                                  ty_distribution **out_distribution, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_distribution, "out_distribution");
    *out_distribution = Release(Distribution::Mpi(node_count, process_count_per_node));
  });
}

ty_status ty_distribution_new_pytorch(int32_t process_count, int32_t node_count, ty_distribution **out_distribution,
                                      ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_distribution, "out_distribution");
    *out_distribution = Release(Distribution::PyTorch(process_count, node_count));
  });
}

ty_status ty_distribution_new_pytorch_per_node(int32_t node_count, ty_distribution **out_distribution,
                                               ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_distribution, "out_distribution");
    *out_distribution = Release(Distribution::PyTorchPerNode(node_count));
  });
}

ty_status ty_distribution_from_json(const char *json, ty_distribution **out_distribution, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_distribution, "out_distribution");
    require(json, "json");
    *out_distribution = Release(Distribution::FromJson(Json::Parse(json, "distribution")));
  });
}

ty_status ty_distribution_to_json(const ty_distribution *distribution, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require(distribution, "distribution");
    *out_json = capi::CopyString(distribution->distribution.ToJson().DumpPretty());
  });
}

void ty_distribution_free(ty_distribution *distribution) noexcept {
  std::unique_ptr<ty_distribution>{distribution};
}

ty_status ty_distribution_set_backend(ty_distribution *distribution, const char *backend, ty_error **err) noexcept {
  return guard(err, [&] {
    require(distribution, "distribution");
    distribution->distribution.SetBackend(capi::OptionalString(backend));
  });
}

ty_status ty_distribution_set_master_port(ty_distribution *distribution, int32_t port, ty_error **err) noexcept {
  return guard(err, [&] {
    require(distribution, "distribution");
    distribution->distribution.SetMasterPort(port);
  });
}

ty_status ty_distribution_set_max_restarts(ty_distribution *distribution, int32_t count, ty_error **err) noexcept {
  return guard(err, [&] {
    require(distribution, "distribution");
    distribution->distribution.SetMaxRestarts(count);
  });
}

}  // extern "C"

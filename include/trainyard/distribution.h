/*
 * trainyard/distribution.h: how many processes a job has on how many nodes, and who starts them. A builder: made,
 * changed, given to a job with ty_job_set_distribution (which copies it), freed.
 *
 * Every process finds the same variables, whoever started it: RANK, LOCAL_RANK, NODE_RANK, GROUP_RANK, WORLD_SIZE,
 * LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT; and Azure ML's AZUREML_NODE_COUNT, AZ_BATCH_MASTER_NODE,
 * AZ_BATCH_NODE_LIST, AZ_BATCH_IS_CURRENT_NODE_MASTER, AZ_BATCHAI_TASK_INDEX. They may be named in the arguments of the
 * command ("--node_rank=$NODE_RANK"), see ty_job_add_argument.
 *
 * Threads: one thread at a time, except for calls that take `const ty_distribution *`.
 */
#ifndef TRAINYARD_DISTRIBUTION_H_
#define TRAINYARD_DISTRIBUTION_H_

#include <trainyard/common.h>
#include <trainyard/error.h>

TY_EXTERN_C_BEGIN

typedef struct ty_distribution ty_distribution;

/**
 * Processes that Open MPI's mpirun starts: MPI programs, Horovod; the ranks of a training job, on CPUs or GPUs.
 *
 * @param node_count              1 to 128
 * @param process_count_per_node  at least 1; at most 1024 processes in all
 * @param out_distribution        [out] free with ty_distribution_free
 * @param err                     [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_distribution_new_mpi(int32_t node_count, int32_t process_count_per_node,
                                         ty_distribution **out_distribution, ty_error **err) TY_NOEXCEPT;

/**
 * Processes that are started one by one, each ready for torch.distributed's "env://"; the ranks of a training job that
 * has a GPU for each.
 *
 * @param process_count     the total of all nodes, a multiple of node_count, at most 1024; 0: one per node
 * @param node_count        1 to 128
 * @param out_distribution  [out] free with ty_distribution_free
 * @param err               [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_distribution_new_pytorch(int32_t process_count, int32_t node_count,
                                             ty_distribution **out_distribution, ty_error **err) TY_NOEXCEPT;

/**
 * One command per node, which starts the node's processes itself: torchrun, `python -m torch.distributed.run` and
 * `python -m torch.distributed.launch` with $NODE_RANK, $MASTER_ADDR and $MASTER_PORT in their arguments.
 *
 * @param node_count        1 to 128
 * @param out_distribution  [out] free with ty_distribution_free
 * @param err               [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_distribution_new_pytorch_per_node(int32_t node_count, ty_distribution **out_distribution,
                                                      ty_error **err) TY_NOEXCEPT;

/**
 * Read a distribution from JSON, as ty_distribution_to_json writes it.
 *
 * @param json              {"type":"mpi"|"pytorch"|"pytorch_per_node", "node_count":n, "process_count_per_node":n
 * (mpi), "process_count":n (pytorch), "backend":b, "master_port":p, "max_restarts":n}
 * @param out_distribution  [out] free with ty_distribution_free
 * @param err               [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_distribution_from_json(const char *json, ty_distribution **out_distribution,
                                           ty_error **err) TY_NOEXCEPT;

/**
 * @param distribution  the distribution
 * @param out_json      [out] free with ty_string_free
 * @param err           [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_distribution_to_json(const ty_distribution *distribution, char **out_json,
                                         ty_error **err) TY_NOEXCEPT;

/** @param distribution  the distribution, or NULL @since 0.1 */
TY_API void ty_distribution_free(ty_distribution *distribution) TY_NOEXCEPT;

/**
 * Name torch.distributed's backend. Scripts find it in TRAINYARD_BACKEND; one that names its own is not changed by it.
 *
 * @param distribution  the distribution; not an MPI one
 * @param backend       "nccl" or "gloo", in any case; NULL takes it back (default)
 * @param err           [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_distribution_set_backend(ty_distribution *distribution, const char *backend,
                                             ty_error **err) TY_NOEXCEPT;

/**
 * Choose MASTER_PORT. A run whose port is taken when it starts fails with the code "port_in_use".
 *
 * @param distribution  the distribution
 * @param port          1 to 65535; 0 (default): 6105 when it is free, else another free one, and another try when
 *                      somebody else was faster
 * @param err           [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_distribution_set_master_port(ty_distribution *distribution, int32_t port,
                                                 ty_error **err) TY_NOEXCEPT;

/**
 * Start the whole group again when a process fails, for scripts that go on from their own checkpoint. Each start finds
 * TORCHELASTIC_RESTART_COUNT (0, 1, ...) and TORCHELASTIC_MAX_RESTARTS in its environment. These restarts come before
 * those of ty_job_set_retries, and its exit codes that are never retried hold here too.
 *
 * @param distribution  the distribution
 * @param count         how many more times; default 0
 * @param err           [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_distribution_set_max_restarts(ty_distribution *distribution, int32_t count,
                                                  ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_DISTRIBUTION_H_ */

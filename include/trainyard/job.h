/*
 * trainyard/job.h: the description of what to run. A job is a builder: it may be changed until it is submitted, and
 * submitted many times.
 *
 * Threads: one thread at a time, except for calls that take `const ty_job *`.
 */
#ifndef TRAINYARD_JOB_H_
#define TRAINYARD_JOB_H_

#include <trainyard/common.h>
#include <trainyard/distribution.h>
#include <trainyard/error.h>
#include <trainyard/train.h>
#include <trainyard/workspace.h>

TY_EXTERN_C_BEGIN

typedef struct ty_job ty_job;

/**
 * A job that runs a program. It starts in a copy of `source_directory`, with directories `outputs` and `logs` in it
 * whose content is kept with the run.
 *
 * What is copied: everything but .git, .hg, .svn, __pycache__, .ipynb_checkpoints, outputs/ and logs/ at the top, the
 * workspace itself, and what `.amlignore` at the top says, or, when there is none, the `.gitignore` files at every
 * level; both mean what they mean to git. Symlinks are kept as they are; one that leads outside is an error. Sockets,
 * pipes and devices are left out. Files that look like secrets are taken and named in the run's "warnings"
 * (ty_job_validate names them before). Unchanged files are neither read nor copied again at the next submit.
 *
 * @param source_directory  copied at submit; NULL: the program starts in an empty directory
 * @param argv     the program and its arguments. A program without '/' is looked up in PATH. `$NAME` in them is
 *                 expanded for each rank (ty_job_add_argument), also inside a script for `sh -c`: for one line of
 *                 shell with variables of its own use ty_job_new_shell.
 * @param argc     how many; at least 1
 * @param out_job  [out] free with ty_job_free
 * @param err      [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_new_command(const char *source_directory, const char *const *argv, size_t argc,
                                    ty_job **out_job, ty_error **err) TY_NOEXCEPT;

/**
 * A job that runs one line of /bin/sh.
 *
 * @param source_directory  see ty_job_new_command
 * @param line     the line, not empty, given to `/bin/sh -c` as it is, also one that starts with '-'; arguments added
 *                 later are its $1, $2, ... and "$@"
 * @param out_job  [out] free with ty_job_free
 * @param err      [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_new_shell(const char *source_directory, const char *line, ty_job **out_job,
                                  ty_error **err) TY_NOEXCEPT;

/**
 * A job that runs a script of the source directory: a .py file with the environment's Python (else python3, else
 * python, of PATH), a .sh file with /bin/sh, any other file as a program of its own. Its arguments are the script
 * parameters in the order in which they were first set, then what ty_job_add_argument adds.
 *
 * @param source_directory  copied at submit; the script starts in the copy
 * @param script   path of the script inside the source directory, relative to it
 * @param out_job  [out] free with ty_job_free
 * @param err      [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_new_script(const char *source_directory, const char *script, ty_job **out_job,
                                   ty_error **err) TY_NOEXCEPT;

/**
 * A job that trains a model with the library's own engine.
 *
 * @param config   the settings; copied
 * @param out_job  [out] free with ty_job_free
 * @param err      [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_new_train(const ty_train_config *config, ty_job **out_job, ty_error **err) TY_NOEXCEPT;

/**
 * Read a job from JSON, as ty_job_to_json writes it. An unknown key is an error that names it and the nearest known
 * one.
 *
 * @param json     the text
 * @param out_job  [out] free with ty_job_free
 * @param err      [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_from_json(const char *json, ty_job **out_job, ty_error **err) TY_NOEXCEPT;

/**
 * @param job       the job
 * @param out_json  [out] the job without the values of its secrets; free with ty_string_free
 * @param err       [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_to_json(const ty_job *job, char **out_json, ty_error **err) TY_NOEXCEPT;

/** @param job  the job, or NULL @since 0.1 */
TY_API void ty_job_free(ty_job *job) TY_NOEXCEPT;

/**
 * Choose the run's id instead of having one made. Submitting the same job with the same id twice gives the same run;
 * another job with the id of an existing run is TY_ERR_ALREADY_EXISTS.
 *
 * @param job     the job
 * @param run_id  1 to 64 of a-z, 0-9, '_' and '-'; NULL: made at submit (default)
 * @param err     [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_run_id(ty_job *job, const char *run_id, ty_error **err) TY_NOEXCEPT;

/**
 * @param job   the job
 * @param name  shown to people; default: the run's id
 * @param err   [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_display_name(ty_job *job, const char *name, ty_error **err) TY_NOEXCEPT;

/**
 * Make the run a child of another one. ty_run_submit_child does the same for a run at hand.
 * @param job     the job
 * @param run_id  a run of the workspace that was not canceled, not the run itself; NULL: no parent (default), also when
 * a rank submits the job
 * @param err     [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_parent(ty_job *job, const char *run_id, ty_error **err) TY_NOEXCEPT;

/**
 * Add an argument after the command. $NAME and ${NAME} in it, and in the command, become the value of that variable of
 * the rank when it starts ($RANK, $NODE_RANK, $MASTER_ADDR, or any other of its environment). A name that is not set
 * stays as written, and so does "$$".
 * @param job       the job; TY_ERR_INVALID_ARGUMENT for a training job
 * @param argument  no shell sees it
 * @param err       [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_add_argument(ty_job *job, const char *argument, ty_error **err) TY_NOEXCEPT;

/**
 * Set a parameter of the script: the arguments `name value`, or `name` alone when the value is empty.
 * @param job    the job; TY_ERR_INVALID_ARGUMENT unless it was made by ty_job_new_script
 * @param name   as the script reads it, such as "--learning-rate"; not empty
 * @param value  the value; "" for a bare flag; NULL takes the parameter back
 * @param err    [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_script_parameter(ty_job *job, const char *name, const char *value,
                                             ty_error **err) TY_NOEXCEPT;

/**
 * Set an environment variable of the ranks. The others are those of the submitting process. The value is recorded with
 * the run.
 * @param job    the job
 * @param name   not empty, no '='
 * @param value  the value; NULL takes the setting back
 * @param err    [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_variable(ty_job *job, const char *name, const char *value, ty_error **err) TY_NOEXCEPT;

/**
 * Set an environment variable of the ranks whose value is never written to a file and is masked in errors and records.
 * @param job    the job
 * @param name   not empty, no '='
 * @param value  the value; NULL takes the setting back
 * @param err    [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_secret(ty_job *job, const char *name, const char *value, ty_error **err) TY_NOEXCEPT;

/**
 * Start several processes of the command. Without a distribution a job is one process, which finds the same variables
 * (RANK=0, WORLD_SIZE=1, ...; see distribution.h). Several nodes on the local compute are simulated: each has a
 * supervisor and a loopback address of its own.
 * Of a training job each process (rank) has its part of the images and train.batch_size of them in a step, and all make
 * the same steps. Rank 0 writes the outputs and the metrics. On CPUs they talk by MPI: ty_distribution_new_mpi. On
 * GPUs, a rank on each, by NCCL: ty_distribution_new_pytorch, or ty_distribution_new_mpi where mpirun is to start them.
 * They are on GPUs with the setting `device` cuda; with auto where GPUs are asked for (ty_job_set_gpus), and under
 * mpirun also where a node has one for each. ty_distribution_new_pytorch_per_node is for commands. Submit looks at all
 * of it.
 * @param job           the job
 * @param distribution  how many, where, and who starts them; copied. NULL takes it back (default)
 * @param err           [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_distribution(ty_job *job, const ty_distribution *distribution, ty_error **err) TY_NOEXCEPT;

/**
 * @param job   the job
 * @param name  a compute of the workspace (trainyard/compute.h); "local" (default) is this machine
 * @param err   [out, optional]
 * @return TY_OK; whether it is there is found at submit (TY_ERR_NOT_FOUND)
 * @since 0.1
 */
TY_API ty_status ty_job_set_compute(ty_job *job, const char *name, ty_error **err) TY_NOEXCEPT;

/**
 * How many GPUs the run gets on each of its nodes. They are its own while it runs: it sees these and no others
 * (CUDA_VISIBLE_DEVICES), every rank of a node sees all of the node's, and LOCAL_RANK says which to use. A run that
 * asks for none sees none. It waits until as many are free; more than the compute has is refused at submit.
 *
 * Default: none; for a training job what its setting `device` needs: none for cpu, one for cuda, N+1 for cuda:N, and
 * for auto one where the compute has any. A training job of several ranks: one for each rank of a node (cuda, and auto
 * where there are as many); fewer than that are refused.
 *
 * @param job    the job
 * @param count  0 to 1024; -1 takes the setting back
 * @param err    [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_gpus(ty_job *job, int32_t count, ty_error **err) TY_NOEXCEPT;

/**
 * Use the GPUs together with other runs that allow it too.
 * @param job     the job
 * @param shared  not 0: may be shared; 0 (default): they are the run's own
 * @param err     [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_gpu_sharing(ty_job *job, int32_t shared, ty_error **err) TY_NOEXCEPT;

/**
 * Bind the ranks to so many CPUs on each node: those that no other run is bound to, as long as there are such. They
 * count as slots of the compute, and OMP_NUM_THREADS is set to their number for each rank where nobody set it. More
 * than the compute has is refused at submit.
 * @param job    the job
 * @param count  0 (default): not bound
 * @param err    [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_cpus(ty_job *job, int32_t count, ty_error **err) TY_NOEXCEPT;

/**
 * Limit the memory of all processes of the run on each node. A run that has more is ended, and fails with the code
 * "memory_limit", which names what it had. It is looked at twice a second; pages that processes share count once. The
 * kernel keeps the limit for each rank in a container, too, and then the code is "out_of_memory". More than the compute
 * has is refused at submit.
 * @param job    the job
 * @param bytes  0 (default): no limit
 * @param err    [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_memory(ty_job *job, uint64_t bytes, ty_error **err) TY_NOEXCEPT;

/**
 * Runs that wait for the same compute start by priority, the higher first, and in the order of their submits among
 * equals. A run whose preparation takes more than 5 s lets later ones pass until it is ready.
 * @param job       the job
 * @param priority  -1000000 to 1000000; default 0
 * @param err       [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_priority(ty_job *job, int32_t priority, ty_error **err) TY_NOEXCEPT;

/**
 * Let a run of higher priority that has no room take the place of this one while it runs: its ranks get SIGTERM, 30 s
 * to write what they need, then SIGKILL; the run is Queued again, at its old place, and its ranks are started anew as
 * the next attempt (TRAINYARD_ATTEMPT). It counts as no retry. How they ended does not matter, but ranks that had all
 * ended before are not started again.
 * @param job          the job
 * @param preemptible  not 0: it may be; 0 (default): it stays to its end
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_preemptible(ty_job *job, int32_t preemptible, ty_error **err) TY_NOEXCEPT;

/**
 * @param job       the job
 * @param limit_ms  how long the ranks may run; then the run fails with the code "time_limit". Default: 30 days.
 * @param err       [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_time_limit(ty_job *job, int64_t limit_ms, ty_error **err) TY_NOEXCEPT;

/**
 * Start the ranks again when they fail.
 * @param job               the job
 * @param maximum           how many more times; default 0
 * @param never_exit_codes  exit codes after which the run fails at once; may be NULL when count is 0
 * @param count             how many
 * @param err               [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_retries(ty_job *job, int32_t maximum, const int32_t *never_exit_codes, size_t count,
                                    ty_error **err) TY_NOEXCEPT;

/** How an input is put in place: TY_INPUT_... */
typedef int32_t ty_input_mode;
enum {
  /** Where the data is, for reading. */
  TY_INPUT_LINK = 0,
  /** As a copy of the run's own. */
  TY_INPUT_DOWNLOAD = 1
};

/**
 * Give the job data to work on. The ranks find its path in the variables NAME, AZUREML_DATAREFERENCE_NAME and
 * AZURE_ML_INPUT_NAME, and in the place of `${{inputs.NAME}}` in the command, arguments, script parameters, variables,
 * and the data directories of a training. In a shell line, quote it as any path. A whole argument, script parameter or
 * variable that is an azureml://datastores/... reference becomes a path as well, without being an input.
 *
 * Inputs are put in place once, before the first rank starts, for all nodes and all attempts. TY_INPUT_LINK is the data
 * itself, where it is: nobody keeps the ranks from writing to it but its permissions, and in a container it is mounted
 * read-only. TY_INPUT_DOWNLOAD is a copy in the run's directory, without the workspace when that lies in the data. A
 * directory is the path itself, a file has its own name in it.
 *
 * Archives that come from a URL (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst, .tar.lz4; a file:// URL too when it
 * has a hash, else it is a local path as any other) are unpacked, and the path is that of the directory; one with an
 * entry that would get outside of it is refused, and one that was cut short. With a hash, what arrives is kept in the
 * workspace and shared by runs, read-only; without one it is fetched for each run, and its hash is noted in the run's
 * property trainyard.input.NAME.sha256. A server that sends nothing for a minute is given up, after three tries.
 *
 * @param job     the job
 * @param name    letters, digits and '_', not a variable that runs need themselves (PATH, RANK, ...); given again, it
 * replaces the input
 * @param source  a local path, a URL, a datastore reference or a data asset, see datastore.h; a local path, a datastore
 * and an asset must be there at submit (TY_ERR_NOT_FOUND), and the latest version is that of the submit
 * @param mode    TY_INPUT_LINK or TY_INPUT_DOWNLOAD
 * @param err     [out, optional]
 * @return TY_OK, TY_ERR_INVALID_ARGUMENT
 * @since 0.1
 */
TY_API ty_status ty_job_add_input(ty_job *job, const char *name, const char *source, ty_input_mode mode,
                                  ty_error **err) TY_NOEXCEPT;

/**
 * How large the source directory may be. A submit of a larger one is refused with TY_ERR_INVALID_ARGUMENT; the message
 * names the ten largest files and directories and the ignore lines that leave them out, and so do the error's details
 * "ignore_file" and "ignore_lines" (one a line). What an ignore file leaves out does not count.
 *
 * @param job        the job
 * @param max_bytes  of all files; default: 314572800 (300 MB); 0 = no limit
 * @param max_files  files and symlinks; default: 2000; 0 = no limit
 * @param err        [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_snapshot_limits(ty_job *job, uint64_t max_bytes, uint64_t max_files,
                                            ty_error **err) TY_NOEXCEPT;

/**
 * Set a tag that the run starts with.
 * @param job    the job
 * @param key    1 to 100 bytes
 * @param value  up to 1000 bytes; NULL takes the tag back
 * @param err    [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_tag(ty_job *job, const char *key, const char *value, ty_error **err) TY_NOEXCEPT;

/**
 * Say what would run, without running it: paths and programs are looked up; for a training job the data is read:
 * classes, images, unreadable files, steps, memory. Of data.arrays the "images" are samples, and shapes and targets are
 * compared with model and loss.
 *
 * @param workspace  where the job would be submitted
 * @param job        the job
 * @param out_report_json  [out] {"ok":bool, "problems":[lines], "warnings":[lines], "command":[...],
 * "snapshot":{"files":n,"bytes":n} with a source directory,
 * "train":{"classes":[names],"train_images":n,
 *                   "validation_images":n,"test_images":n (with a
 * manifest),"bad_images":[{"path":p,"reason":r}],"steps_per_epoch":n,"total_steps":n,"parameters":n,"memory_bytes":n}};
 *                   free with ty_string_free. A job with problems still answers TY_OK.
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_RUNTIME, TY_ERR_ENGINE
 * @since 0.1
 */
TY_API ty_status ty_job_validate(const ty_workspace *workspace, const ty_job *job, char **out_report_json,
                                 ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_JOB_H_ */

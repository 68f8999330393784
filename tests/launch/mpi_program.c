/* An MPI program: every rank prints its number, the size, and the sum of all ranks by all-reduce. With arguments
 * "exit <rank> <code>", "abort <rank> <code>" or "signal <rank> <number>" that rank breaks instead, the others wait for
 * it. */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  int rank = 0, size = 0, sum = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc == 4 && atoi(argv[2]) == rank) {
    const int number = atoi(argv[3]);
    fprintf(stderr, "rank %d breaks\n", rank);
    if (strcmp(argv[1], "exit") == 0) exit(number);
    if (strcmp(argv[1], "abort") == 0) MPI_Abort(MPI_COMM_WORLD, number);
    if (strcmp(argv[1], "signal") == 0) raise(number);
  }
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  printf("%d of %d: %d, local %s of %s\n", rank, size, sum, getenv("OMPI_COMM_WORLD_LOCAL_RANK"),
         getenv("OMPI_COMM_WORLD_LOCAL_SIZE"));
  MPI_Finalize();
  return 0;
}

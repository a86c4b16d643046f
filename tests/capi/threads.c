/* The C interface on several threads: one model for all, a workspace and a state for each, handles that all of them make
 * and close, and a last error of each thread's own. Exit code 1 if a thread sees another's. */
#include <bytegate/bytegate.h>
#include <pthread.h>

#include "testing.h"

enum { THREADS = 4, ROUNDS = 200 };

static const int64_t x_shape[] = {T, B, INPUTS}, y_shape[] = {T, B, OUTPUTS};
static float x[T * B * INPUTS], expected[T * B * OUTPUTS];
static bytegate_model* model;

struct thread {
  pthread_t id;
  int number;
  int failures;
};

/* Asks for a file that is not there, whose name is the thread's; returns whether the error names it. */
static int fails_by_name(int number) {
  bytegate_model* none;
  char path[64];
  snprintf(path, sizeof path, "/not/there/%d.", number);
  return bytegate_model_load(path, NULL, &none) == BYTEGATE_IO_ERROR && none == NULL &&
         strstr(bytegate_last_error(), path) != NULL;
}

static void* run(void* argument) {
  struct thread* self = argument;
  bytegate_workspace* workspace;
  bytegate_forward_options options = {.struct_size = sizeof options};
  float y[T * B * OUTPUTS];
  const char* kept;
  char path[64];
  int i;
  if (strcmp(bytegate_last_error(), "") != 0) ++self->failures; /* the main thread has had one */
  if (!fails_by_name(self->number)) ++self->failures;
  kept = bytegate_last_error();
  if (bytegate_workspace_create(1, &workspace) != BYTEGATE_OK) ++self->failures;
  for (i = 0; i < ROUNDS; ++i) {
    memset(y, 0, sizeof y);
    if (bytegate_state_create(&options.state) != BYTEGATE_OK) ++self->failures;
    if (bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &options) != BYTEGATE_OK)
      ++self->failures;
    if (memcmp(y, expected, sizeof y) != 0) ++self->failures;
    if (bytegate_state_close(options.state) != BYTEGATE_OK) ++self->failures;
  }
  snprintf(path, sizeof path, "/not/there/%d.", self->number);
  if (strstr(kept, path) == NULL) ++self->failures; /* calls that succeed leave it */
  if (bytegate_workspace_close(workspace) != BYTEGATE_OK) ++self->failures;
  if (bytegate_workspace_close(workspace) != BYTEGATE_INVALID_HANDLE) ++self->failures;
  return NULL;
}

static int make_model(void) {
  static const char architecture[] = "[{\"name\": \"fc\", \"kind\": \"linear\"}]";
  static const int64_t shape[] = {OUTPUTS, INPUTS};
  float weight[OUTPUTS * INPUTS];
  bytegate_tensor tensor = {.struct_size = sizeof tensor, .name = "fc.weight", .rank = 2};
  bytegate_workspace* workspace;
  int good;
  fill(weight, OUTPUTS * INPUTS, 1, 0.25f);
  fill(x, T * B * INPUTS, 2, 1);
  tensor.data = weight;
  tensor.bytes = sizeof weight;
  tensor.shape = shape;
  good = bytegate_model_from_tensors(architecture, &tensor, 1, NULL, &model) == BYTEGATE_OK &&
         bytegate_workspace_create(1, &workspace) == BYTEGATE_OK &&
         bytegate_model_forward(model, x, x_shape, 3, expected, y_shape, 3, workspace, NULL) == BYTEGATE_OK &&
         bytegate_workspace_close(workspace) == BYTEGATE_OK;
  return good;
}

int main(void) {
  struct thread threads[THREADS];
  int i, failures = 0;
  if (!make_model()) return 2;
  if (!fails_by_name(THREADS)) ++failures;
  for (i = 0; i < THREADS; ++i) {
    threads[i].number = i;
    threads[i].failures = 0;
    if (pthread_create(&threads[i].id, NULL, run, &threads[i]) != 0) return 2;
  }
  for (i = 0; i < THREADS; ++i) {
    pthread_join(threads[i].id, NULL);
    failures += threads[i].failures;
  }
  if (strstr(bytegate_last_error(), "/not/there/4.") == NULL) ++failures;
  if (bytegate_model_close(model) != BYTEGATE_OK) ++failures;
  printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}

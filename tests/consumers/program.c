/* A program in C: program FILE
 *
 * Runs a model of one layer, whose output is known, and loads the model in FILE. */
#include <bytegate/bytegate.h>
#include <stdio.h>

static int failed(bytegate_status status) {
  if (status != BYTEGATE_OK) printf("%s: %s\n", bytegate_status_name(status), bytegate_last_error());
  return status != BYTEGATE_OK;
}

int main(int argc, char** argv) {
  const float weight[] = {1, 2, 3, 4}, bias[] = {10, 20}, x[] = {1, -1};
  const int64_t shape[] = {2};
  const char* const names[] = {"fc"};
  bytegate_linear_options options = {.struct_size = sizeof options, .in_features = 2, .out_features = 2};
  bytegate_layer* layer;
  const bytegate_layer* layers[1];
  bytegate_model *model, *file;
  bytegate_workspace* workspace;
  float y[2];
  if (argc != 2) return 2;
  options.weight = weight;
  options.bias = bias;
  if (failed(bytegate_linear_create(&options, &layer))) return 1;
  layers[0] = layer;
  if (failed(bytegate_model_create("c", names, layers, 1, &model))) return 1;
  if (failed(bytegate_workspace_create(1, &workspace))) return 1;
  if (failed(bytegate_model_forward(model, x, shape, 1, y, shape, 1, workspace, NULL))) return 1;
  if (failed(bytegate_model_load(argv[1], NULL, &file))) return 1;
  if (failed(bytegate_model_close(file)) || failed(bytegate_model_close(model))) return 1;
  if (failed(bytegate_layer_close(layer)) || failed(bytegate_workspace_close(workspace))) return 1;
  printf("version %s\ny %g %g\n", bytegate_version(), (double)y[0], (double)y[1]);
  return y[0] == 9 && y[1] == 19 ? 0 : 1;
}

/* All of the C interface, used as a program in C99 does: use CHARLM WORK
 *
 * CHARLM is examples/data/charlm/model.safetensors; models are written into the folder WORK. Prints the bits of all
 * outputs, which capi_test.py compares with those of use_cpp.cpp. Exit code 1 if a call fails. */
#include <bytegate/bytegate.h>
#include <stdlib.h>

#include "testing.h"

static void check(bytegate_status status, const char* what) {
  if (status == BYTEGATE_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, bytegate_status_name(status), bytegate_last_error());
  exit(1);
}
#define CHECK(call) check(call, #call)

static void expect(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "not so: %s\n", what);
  exit(1);
}
#define EXPECT(condition) expect(condition, #condition)

static bytegate_workspace* workspace;

/* The model on floats of that shape. The caller frees the output. */
static float* run(const bytegate_model* model, const float* x, const int64_t* x_shape, size_t x_rank, size_t* count,
                  const bytegate_forward_options* options) {
  int64_t y_shape[BYTEGATE_MAX_RANK];
  size_t y_rank, i;
  float* y;
  CHECK(bytegate_model_output_shape(model, x_shape, x_rank, y_shape, &y_rank));
  *count = 1;
  for (i = 0; i < y_rank; ++i) *count *= (size_t)y_shape[i];
  y = malloc(*count * sizeof *y);
  CHECK(bytegate_model_forward(model, x, x_shape, x_rank, y, y_shape, y_rank, workspace, options));
  return y;
}

static void print_run(const char* name, const bytegate_model* model, const float* x, const int64_t* x_shape,
                      size_t x_rank, const bytegate_forward_options* options) {
  size_t count;
  float* y = run(model, x, x_shape, x_rank, &count, options);
  print_digest(name, y, count);
  free(y);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void use_backends(void) {
  size_t count, i, selected = 0;
  const char* name;
  CHECK(bytegate_backend_count(&count));
  CHECK(bytegate_default_backend(&name));
  for (i = 0; i < count; ++i) {
    bytegate_backend_info info;
    info.struct_size = sizeof info;
    CHECK(bytegate_backend_get(i, &info));
    EXPECT((info.unmet[0] == '\0') == (info.supported == 1));
    EXPECT(strlen(info.description) > 0);
    printf("backend %s supported %d priority %d unmet %s\n", info.name, (int)info.supported, (int)info.priority,
           info.unmet);
    if (info.selected) {
      EXPECT(strcmp(info.name, name) == 0);
      ++selected;
    }
  }
  EXPECT(selected == 1);
  printf("version %s\nselected %s\n", bytegate_version(), name);
}

static char* described(const bytegate_model* model) {
  size_t needed, again;
  char* text;
  CHECK(bytegate_model_describe(model, NULL, 0, &needed));
  text = malloc(needed);
  EXPECT(bytegate_model_describe(model, text, needed - 1, &again) == BYTEGATE_BUFFER_TOO_SMALL && again == needed);
  CHECK(bytegate_model_describe(model, text, needed, &again));
  EXPECT(strlen(text) + 1 == needed);
  return text;
}

static void print_description(const bytegate_model* model) {
  char* text = described(model);
  printf("json %s\n", text);
  free(text);
}

static void run_characters(const char* name, const bytegate_model* model) {
  static const int64_t text[] = {31, 44, 41, 0, 7, 12};
  static const int64_t shape[] = {3, 2};
  int64_t y_shape[BYTEGATE_MAX_RANK];
  size_t y_rank, count;
  float* y;
  CHECK(bytegate_model_output_shape(model, shape, 2, y_shape, &y_rank));
  EXPECT(y_rank == 3 && y_shape[0] == 3 && y_shape[1] == 2 && y_shape[2] == 63);
  count = (size_t)(y_shape[0] * y_shape[1] * y_shape[2]);
  y = malloc(count * sizeof *y);
  CHECK(bytegate_model_forward_indices(model, text, shape, 2, y, y_shape, y_rank, workspace, NULL));
  print_digest(name, y, count);
  free(y);
}

static void* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  void* data;
  EXPECT(file != NULL);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  data = malloc(*size);
  EXPECT(fread(data, 1, *size, file) == *size);
  fclose(file);
  return data;
}

/* A trained model: loaded, quantized in each way, saved, loaded from a file and from memory. */
static void use_files(const char* charlm, const char* work) {
  static const char* const kinds[] = {"embedding", "lstm", "linear"};
  static const char* const exclude[] = {"dec*"};
  bytegate_quantize_options quantize = {.struct_size = sizeof quantize, .kinds = kinds, .num_kinds = 3};
  bytegate_load_options load = {.struct_size = sizeof load, .num_threads = 2};
  bytegate_model_info info = {.struct_size = sizeof info};
  bytegate_model *model, *int8, *other;
  char path[4096];
  void* bytes;
  size_t size;
  CHECK(bytegate_model_load(charlm, NULL, &model));
  CHECK(bytegate_model_get_info(model, &info));
  EXPECT(info.num_layers == 3 && info.input_size == 63 && info.takes_indices == 1);
  run_characters("charlm_float", model);
  print_description(model);

  CHECK(bytegate_model_quantize(model, NULL, &int8));
  run_characters("charlm_int8", int8);
  print_description(int8);
  snprintf(path, sizeof path, "%s/c.safetensors", work);
  CHECK(bytegate_model_save(int8, path));
  CHECK(bytegate_model_load(path, &load, &other));
  run_characters("charlm_saved", other);
  CHECK(bytegate_model_close(other));

  bytes = read_file(path, &size);
  CHECK(bytegate_model_load_memory(bytes, size, NULL, &other));
  free(bytes);
  run_characters("charlm_memory", other);
  CHECK(bytegate_model_close(other));
  CHECK(bytegate_model_close(int8));

  quantize.exclude = exclude;
  quantize.num_exclude = 1;
  CHECK(bytegate_model_quantize(model, &quantize, &other));
  run_characters("charlm_chosen", other);
  CHECK(bytegate_model_close(other));
  CHECK(bytegate_model_close(model));

  quantize.num_exclude = 0;
  quantize.scheme = "torch_per_channel_8bit";
  load.quantize = &quantize;
  load.name = "named";
  load.backend = "scalar";
  CHECK(bytegate_model_load(charlm, &load, &other));
  run_characters("charlm_torch", other);
  CHECK(bytegate_model_close(other));
}

/* ------------------------------------------------------------------------------------------------------------------ */

static float* numbers(size_t n, uint32_t seed) {
  float* data = malloc(n * sizeof *data);
  fill(data, n, seed, 0.25f);
  return data;
}

enum { MOST_CELLS = 4 };

/* The weights of a recurrent layer. */
struct cells {
  float *w_ih[MOST_CELLS], *w_hh[MOST_CELLS], *b_ih[MOST_CELLS], *b_hh[MOST_CELLS], *w_hr[MOST_CELLS];
  size_t count;
};

static bytegate_layer* make_recurrent(int gates, int layers, int directions, int proj, int reset_before) {
  struct cells c;
  bytegate_recurrent_options options = {.struct_size = sizeof options, .input_size = INPUTS, .hidden_size = HIDDEN};
  const int output = proj > 0 ? proj : HIDDEN;
  const size_t rows = (size_t)gates * HIDDEN;
  bytegate_layer* layer;
  size_t i;
  c.count = (size_t)(layers * directions);
  for (i = 0; i < c.count; ++i) {
    const uint32_t seed = (uint32_t)(10 * i + 1);
    const size_t inputs = i < (size_t)directions ? INPUTS : (size_t)(output * directions);
    c.w_ih[i] = numbers(rows * inputs, seed);
    c.w_hh[i] = numbers(rows * (size_t)output, seed + 1);
    c.b_ih[i] = numbers(rows, seed + 2);
    c.b_hh[i] = numbers(rows, seed + 3);
    c.w_hr[i] = numbers((size_t)proj * HIDDEN + 1, seed + 4);
  }
  options.num_layers = layers;
  options.bidirectional = directions == 2;
  options.proj_size = proj;
  options.reset_before = reset_before;
  options.num_cells = c.count;
  options.weight_ih = (const float* const*)c.w_ih;
  options.weight_hh = (const float* const*)c.w_hh;
  options.bias_ih = (const float* const*)c.b_ih;
  options.bias_hh = (const float* const*)c.b_hh;
  options.weight_hr = proj > 0 ? (const float* const*)c.w_hr : NULL;
  if (gates == 4)
    CHECK(bytegate_lstm_create(&options, &layer));
  else
    CHECK(bytegate_gru_create(&options, &layer));
  for (i = 0; i < c.count; ++i) {
    free(c.w_ih[i]);
    free(c.w_hh[i]);
    free(c.b_ih[i]);
    free(c.b_hh[i]);
    free(c.w_hr[i]);
  }
  return layer;
}

static bytegate_layer* make_linear(int64_t inputs, int relu) {
  float *weight = numbers((size_t)inputs * OUTPUTS, 91), *bias = numbers(OUTPUTS, 92);
  bytegate_linear_options options = {.struct_size = sizeof options, .in_features = inputs, .out_features = OUTPUTS};
  bytegate_layer* layer;
  options.weight = weight;
  options.bias = bias;
  options.relu = relu;
  CHECK(bytegate_linear_create(&options, &layer));
  free(weight);
  free(bias);
  return layer;
}

static const int64_t x_shape[] = {T, B, INPUTS};

/* A recurrent layer and a Linear, float and int8. */
static void use_layers(const char* name, bytegate_layer* recurrent, int64_t width) {
  static const char* const names[] = {"recurrent", "fc"};
  const bytegate_layer* layers[2];
  bytegate_layer* linear = make_linear(width, 1);
  bytegate_model *model, *int8;
  float x[T * B * INPUTS];
  char text[64];
  fill(x, T * B * INPUTS, 5, 1);
  layers[0] = recurrent;
  layers[1] = linear;
  CHECK(bytegate_model_create("of layers", names, layers, 2, &model));
  CHECK(bytegate_layer_close(recurrent));
  CHECK(bytegate_layer_close(linear));
  snprintf(text, sizeof text, "%s_float", name);
  print_run(text, model, x, x_shape, 3, NULL);
  CHECK(bytegate_model_quantize(model, NULL, &int8));
  snprintf(text, sizeof text, "%s_int8", name);
  print_run(text, int8, x, x_shape, 3, NULL);
  print_description(int8);
  CHECK(bytegate_model_close(model));
  CHECK(bytegate_model_close(int8));
}

/* A step at a time with a state, another beginning, and a padded batch. */
static void use_states(void) {
  static const char* const names[] = {"lstm"};
  static const int64_t step_shape[] = {1, B, INPUTS}, lengths[] = {T, 2, 5};
  const bytegate_layer* layers[1];
  bytegate_layer* lstm = make_recurrent(4, 2, 1, 0, 0);
  bytegate_model* model;
  bytegate_state* state;
  bytegate_forward_options options = {.struct_size = sizeof options};
  float x[T * B * INPUTS], y[T * B * HIDDEN], *data;
  int64_t shape[BYTEGATE_MAX_RANK];
  size_t rank, count, i;
  fill(x, T * B * INPUTS, 6, 1);
  layers[0] = lstm;
  CHECK(bytegate_model_create(NULL, names, layers, 1, &model));
  CHECK(bytegate_layer_close(lstm));
  print_run("whole", model, x, x_shape, 3, NULL);
  CHECK(bytegate_state_create(&state));
  EXPECT(bytegate_state_tensor_count(state, 0, &count) == BYTEGATE_INVALID_ARGUMENT); /* empty */
  options.state = state;
  for (i = 0; i < T; ++i) {
    float* step = run(model, x + i * B * INPUTS, step_shape, 3, &count, &options);
    EXPECT(count == B * HIDDEN);
    memcpy(y + i * count, step, count * sizeof *y);
    free(step);
  }
  print_digest("whole", y, T * B * HIDDEN);
  CHECK(bytegate_state_tensor_count(state, 0, &count));
  EXPECT(count == 2);
  for (i = 0; i < 2; ++i) {
    CHECK(bytegate_state_tensor(state, 0, i, &data, shape, &rank));
    EXPECT(rank == 3 && shape[0] == 2 && shape[1] == B && shape[2] == HIDDEN);
    print_digest(i == 0 ? "h" : "c", data, 2 * B * HIDDEN);
  }
  CHECK(bytegate_state_reset(state));
  CHECK(bytegate_state_prepare(state, model, x_shape, 3));
  CHECK(bytegate_state_tensor(state, 0, 1, &data, shape, &rank));
  for (i = 0; i < 2 * B * HIDDEN; ++i) EXPECT(data[i] == 0);
  fill(data, 2 * B * HIDDEN, 7, 0.5f);
  print_run("from_c", model, x, x_shape, 3, &options);
  options.state = NULL;
  options.lengths = lengths;
  options.num_lengths = B;
  print_run("ragged", model, x, x_shape, 3, &options);
  CHECK(bytegate_state_close(state));
  CHECK(bytegate_model_close(model));
}

/* Layers of any kind from named tensors, one of them int8. */
static void use_tensors(void) {
  static const char architecture[] =
      "[{\"name\": \"fc\", \"kind\": \"linear\", \"scheme\": \"per_row\"}, {\"name\": \"act\", \"kind\": \"sigmoid\"}]";
  static const int64_t shape[] = {OUTPUTS, INPUTS}, row[] = {OUTPUTS}, x_one[] = {INPUTS};
  int8_t weight[OUTPUTS * INPUTS];
  float scales[OUTPUTS], bias[OUTPUTS], x[INPUTS];
  bytegate_tensor tensors[3];
  bytegate_model* model;
  size_t i;
  for (i = 0; i < sizeof weight; ++i) weight[i] = (int8_t)(37 * (int)i % 255 - 127);
  for (i = 0; i < OUTPUTS; ++i) scales[i] = 1.0f / (float)(64 << i);
  fill(bias, OUTPUTS, 8, 1);
  fill(x, INPUTS, 9, 1);
  memset(tensors, 0, sizeof tensors);
  for (i = 0; i < 3; ++i) {
    tensors[i].struct_size = sizeof tensors[i];
    tensors[i].shape = i == 0 ? shape : row;
    tensors[i].rank = i == 0 ? 2 : 1;
  }
  tensors[0].name = "fc.weight";
  tensors[0].dtype = "I8";
  tensors[0].data = weight;
  tensors[0].bytes = sizeof weight;
  tensors[1].name = "fc.weight_scale";
  tensors[1].data = scales;
  tensors[1].bytes = sizeof scales;
  tensors[2].name = "fc.bias";
  tensors[2].data = bias;
  tensors[2].bytes = sizeof bias;
  CHECK(bytegate_model_from_tensors(architecture, tensors, 3, NULL, &model));
  print_run("tensors", model, x, x_one, 1, NULL);
  CHECK(bytegate_model_close(model));
}

int main(int argc, char** argv) {
  size_t bytes;
  EXPECT(argc == 3);
  EXPECT(strcmp(bytegate_last_error(), "") == 0);
  use_backends();
  CHECK(bytegate_workspace_create(2, &workspace));
  use_files(argv[1], argv[2]);
  use_layers("lstm", make_recurrent(4, 1, 1, 0, 0), HIDDEN);
  use_layers("lstm_2_both", make_recurrent(4, 2, 2, 0, 0), 2 * HIDDEN);
  use_layers("lstm_proj", make_recurrent(4, 2, 1, PROJ, 0), PROJ);
  use_layers("gru", make_recurrent(3, 2, 2, 0, 0), 2 * HIDDEN);
  use_layers("gru_reset_before", make_recurrent(3, 1, 1, 0, 1), HIDDEN);
  use_states();
  use_tensors();
  CHECK(bytegate_workspace_bytes(workspace, &bytes));
  EXPECT(bytes > 0);
  CHECK(bytegate_workspace_close(workspace));
  return 0;
}

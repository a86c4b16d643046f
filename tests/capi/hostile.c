/* Arguments that a program should not pass, and what each call says to them: hostile WORK
 *
 * Every line of main's tests states the status that a call must return; a status that is an error must come with a text,
 * and a handle that was to be made must be null. Exit code 1 if one is another. */
#include <bytegate/bytegate.h>
#include <stdlib.h>

#include "testing.h"

static int failures = 0;

static void expect_status(bytegate_status got, bytegate_status wanted, const char* call, int line) {
  if (got == wanted && (got == BYTEGATE_OK || strlen(bytegate_last_error()) > 10)) return;
  printf("hostile.c:%d: %s: %s, expected %s (%s)\n", line, call, bytegate_status_name(got), bytegate_status_name(wanted),
         bytegate_last_error());
  ++failures;
}
#define IS(call, status) expect_status(call, BYTEGATE_##status, #call, __LINE__)

static void expect_text(const char* part, int line) {
  if (strstr(bytegate_last_error(), part)) return;
  printf("hostile.c:%d: \"%s\" does not say \"%s\"\n", line, bytegate_last_error(), part);
  ++failures;
}
#define SAYS(part) expect_text(part, __LINE__)

static void expect(int condition, const char* what, int line) {
  if (condition) return;
  printf("hostile.c:%d: not so: %s\n", line, what);
  ++failures;
}
#define EXPECT(condition) expect(condition, #condition, __LINE__)

static const int64_t x_shape[] = {T, B, INPUTS}, y_shape[] = {T, B, OUTPUTS};
static float x[T * B * INPUTS], y[T * B * OUTPUTS];
static float weight[4 * HIDDEN * HIDDEN], bias[4 * HIDDEN];
static const float *w_ih[] = {weight}, *w_hh[] = {weight}, *b[] = {bias};
static const float* missing[] = {NULL};

static bytegate_model* model;
static bytegate_layer *lstm, *linear;
static bytegate_state* state;
static bytegate_workspace* workspace;

static bytegate_linear_options linear_options(void) {
  bytegate_linear_options o = {.struct_size = sizeof o, .in_features = HIDDEN, .out_features = OUTPUTS};
  o.weight = weight;
  return o;
}

static bytegate_recurrent_options lstm_options(void) {
  bytegate_recurrent_options o = {.struct_size = sizeof o, .input_size = INPUTS, .hidden_size = HIDDEN, .num_cells = 1};
  o.weight_ih = w_ih;
  o.weight_hh = w_hh;
  o.bias_ih = b;
  o.bias_hh = b;
  return o;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void test_backends(void) {
  bytegate_backend_info info = {.struct_size = sizeof info};
  size_t count;
  const char* name = NULL;
  IS(bytegate_backend_count(NULL), NULL_POINTER);
  IS(bytegate_backend_count(&count), OK);
  IS(bytegate_backend_get(0, NULL), NULL_POINTER);
  IS(bytegate_backend_get(count, &info), INVALID_ARGUMENT);
  SAYS("backends");
  IS(bytegate_backend_get((size_t)-1, &info), INVALID_ARGUMENT);
  info.struct_size = 0;
  IS(bytegate_backend_get(0, &info), INVALID_ARGUMENT);
  SAYS("struct_size is 0");
  IS(bytegate_default_backend(NULL), NULL_POINTER);
  IS(bytegate_load_backend(NULL, &name), NULL_POINTER);
  IS(bytegate_load_backend("relative.so", NULL), INVALID_ARGUMENT);
  IS(bytegate_load_backend("/not/there.so", &name), IO_ERROR);
  EXPECT(name == NULL);
  EXPECT(strcmp(bytegate_status_name((bytegate_status)-1), "unknown status") == 0);
  EXPECT(strcmp(bytegate_status_name((bytegate_status)13), "unknown status") == 0);
}

static void test_layers(void) {
  bytegate_linear_options o = linear_options();
  bytegate_layer* made = (bytegate_layer*)&o;
  IS(bytegate_linear_create(&o, NULL), NULL_POINTER);
  IS(bytegate_linear_create(NULL, &made), NULL_POINTER);
  EXPECT(made == NULL);
  o.weight = NULL;
  IS(bytegate_linear_create(&o, &made), NULL_POINTER);
  SAYS("weight is null");
  o = linear_options();
  o.in_features = 0;
  IS(bytegate_linear_create(&o, &made), INVALID_ARGUMENT);
  o.in_features = 65537;
  IS(bytegate_linear_create(&o, &made), INVALID_ARGUMENT);
  o.in_features = INT64_MIN;
  IS(bytegate_linear_create(&o, &made), INVALID_ARGUMENT);
  o = linear_options();
  o.out_features = INT64_MAX;
  IS(bytegate_linear_create(&o, &made), INVALID_ARGUMENT);
  SAYS("out_features");
  o = linear_options();
  o.backend = "none";
  IS(bytegate_linear_create(&o, &made), UNKNOWN_BACKEND);
  o = linear_options();
  o.struct_size = sizeof o - 1;
  IS(bytegate_linear_create(&o, &made), INVALID_ARGUMENT);
  o.struct_size = (size_t)-1;
  IS(bytegate_linear_create(&o, &made), INVALID_ARGUMENT);
}

static void test_recurrent_layers(void) {
  bytegate_recurrent_options o = lstm_options();
  bytegate_layer* made;
  IS(bytegate_lstm_create(&o, NULL), NULL_POINTER);
  IS(bytegate_gru_create(NULL, &made), NULL_POINTER);
  o.hidden_size = -3;
  IS(bytegate_lstm_create(&o, &made), INVALID_ARGUMENT);
  o = lstm_options();
  o.input_size = INT64_MAX;
  IS(bytegate_gru_create(&o, &made), INVALID_ARGUMENT);
  o = lstm_options();
  o.num_layers = 2;
  IS(bytegate_lstm_create(&o, &made), INVALID_ARGUMENT);
  SAYS("num_cells is 1; expected is 2");
  o.num_layers = INT64_MAX;
  IS(bytegate_lstm_create(&o, &made), INVALID_ARGUMENT);
  o = lstm_options();
  o.weight_hh = NULL;
  IS(bytegate_lstm_create(&o, &made), NULL_POINTER);
  SAYS("weight_hh");
  o.weight_hh = missing;
  IS(bytegate_lstm_create(&o, &made), NULL_POINTER);
  o = lstm_options();
  o.bias_hh = NULL;
  IS(bytegate_lstm_create(&o, &made), NULL_POINTER);
  SAYS("bias_hh");
  o = lstm_options();
  o.proj_size = HIDDEN;
  IS(bytegate_lstm_create(&o, &made), INVALID_ARGUMENT);
  o.proj_size = 2;
  IS(bytegate_lstm_create(&o, &made), NULL_POINTER);
  SAYS("weight_hr");
  o.weight_hr = w_hh;
  IS(bytegate_gru_create(&o, &made), INVALID_ARGUMENT); /* a GRU has no projection */
  EXPECT(made == NULL);
  o = lstm_options();
  o.weight_hr = w_hh;
  IS(bytegate_lstm_create(&o, &made), INVALID_ARGUMENT); /* proj_size is 0 */
  o = lstm_options();
  o.reset_before = 1;
  IS(bytegate_lstm_create(&o, &made), INVALID_ARGUMENT); /* an LSTM has no reset gate */
}

static void test_making_models(void) {
  const char* names[] = {"lstm", "fc"};
  const char* same[] = {"a", "a"};
  const char* none[] = {"a", NULL};
  const bytegate_layer* layers[2];
  const bytegate_layer* not_layers[2];
  bytegate_model* made;
  layers[0] = lstm;
  layers[1] = linear;
  not_layers[0] = lstm;
  not_layers[1] = NULL;
  IS(bytegate_model_create(NULL, names, layers, 2, NULL), NULL_POINTER);
  IS(bytegate_model_create(NULL, NULL, layers, 2, &made), NULL_POINTER);
  IS(bytegate_model_create(NULL, names, NULL, 2, &made), NULL_POINTER);
  IS(bytegate_model_create(NULL, none, layers, 2, &made), NULL_POINTER);
  IS(bytegate_model_create(NULL, same, layers, 2, &made), INVALID_ARGUMENT);
  IS(bytegate_model_create(NULL, names, not_layers, 2, &made), NULL_POINTER);
  not_layers[1] = (const bytegate_layer*)model;
  IS(bytegate_model_create(NULL, names, not_layers, 2, &made), INVALID_HANDLE);
  SAYS("layer");
  EXPECT(made == NULL);
  IS(bytegate_model_create(NULL, NULL, NULL, 0, &made), OK); /* a model without layers passes its input on */
  IS(bytegate_model_close(made), OK);
  /* Names that are not UTF-8: JSON is valid all the same, and no such file is written. */
  names[0] = "\xff\xc3\xa4\xed\xa0\x80";
  IS(bytegate_model_create("\x80", names, layers, 2, &made), OK);
  {
    char text[8192];
    size_t needed;
    IS(bytegate_model_describe(made, text, sizeof text, &needed), OK);
    EXPECT(strstr(text, "{\"name\":\"?\",") == text);
    EXPECT(strstr(text, "\"name\":\"?\xc3\xa4???\"") != NULL);
  }
  IS(bytegate_model_save(made, "/tmp/never"), INVALID_ARGUMENT);
  IS(bytegate_model_close(made), OK);
}

static void test_loading(const char* work) {
  bytegate_load_options o = {.struct_size = sizeof o};
  bytegate_quantize_options q = {.struct_size = sizeof q};
  bytegate_model* made = model;
  char path[4096], bytes[100];
  memset(bytes, 'x', sizeof bytes);
  snprintf(path, sizeof path, "%s/hostile.safetensors", work);
  IS(bytegate_model_load(NULL, NULL, &made), NULL_POINTER);
  EXPECT(made == NULL);
  IS(bytegate_model_load(path, NULL, NULL), NULL_POINTER);
  IS(bytegate_model_load("/not/there", NULL, &made), IO_ERROR);
  SAYS("/not/there");
  IS(bytegate_model_load(work, NULL, &made), IO_ERROR); /* a folder */
  IS(bytegate_model_load_memory(bytes, sizeof bytes, NULL, &made), BAD_FILE);
  IS(bytegate_model_load_memory(NULL, 0, NULL, &made), BAD_FILE);
  IS(bytegate_model_load_memory(NULL, 8, NULL, &made), NULL_POINTER);
  IS(bytegate_model_save(model, NULL), NULL_POINTER);
  IS(bytegate_model_save(NULL, path), NULL_POINTER);
  IS(bytegate_model_save(model, "/not/there/file"), IO_ERROR);
  IS(bytegate_model_save(model, path), OK);
  o.num_threads = -1;
  IS(bytegate_model_load(path, &o, &made), INVALID_ARGUMENT);
  o.num_threads = 0;
  o.backend = "nobody's";
  IS(bytegate_model_load(path, &o, &made), UNKNOWN_BACKEND);
  SAYS("scalar");
  o.backend = NULL;
  o.struct_size = 4;
  IS(bytegate_model_load(path, &o, &made), INVALID_ARGUMENT);
  o.struct_size = sizeof o;
  o.quantize = &q;
  q.struct_size = 0;
  IS(bytegate_model_load(path, &o, &made), INVALID_ARGUMENT);
  EXPECT(made == NULL);
}

static void test_quantizing(void) {
  static const char* const kinds[] = {"no kind"};
  static const char* const nothing[] = {NULL};
  bytegate_quantize_options q = {.struct_size = sizeof q};
  bytegate_model* made;
  IS(bytegate_model_quantize(NULL, &q, &made), NULL_POINTER);
  IS(bytegate_model_quantize(model, &q, NULL), NULL_POINTER);
  q.scheme = "no scheme";
  IS(bytegate_model_quantize(model, &q, &made), INVALID_ARGUMENT);
  SAYS("per_row");
  q.scheme = NULL;
  q.num_kinds = 1;
  IS(bytegate_model_quantize(model, &q, &made), NULL_POINTER);
  q.kinds = nothing;
  IS(bytegate_model_quantize(model, &q, &made), NULL_POINTER);
  q.kinds = kinds;
  IS(bytegate_model_quantize(model, &q, &made), INVALID_ARGUMENT);
  q.num_kinds = 0;
  q.include = kinds;
  q.num_include = 1;
  IS(bytegate_model_quantize(model, &q, &made), INVALID_ARGUMENT);
  SAYS("no kind");
  q.num_include = 0;
  q.num_threads = 257;
  IS(bytegate_model_quantize(model, &q, &made), INVALID_ARGUMENT);
  EXPECT(made == NULL);
}

static void test_tensors(void) {
  static const char architecture[] = "[{\"name\": \"fc\", \"kind\": \"linear\"}]";
  static const int64_t shape[] = {OUTPUTS, INPUTS}, huge[] = {INT64_MAX, INT64_MAX}, negative[] = {-1, 4};
  bytegate_tensor t = {.struct_size = sizeof t, .name = "fc.weight", .rank = 2};
  bytegate_load_options o = {.struct_size = sizeof o, .architecture = "[]"};
  bytegate_model* made;
  t.data = weight;
  t.shape = shape;
  t.bytes = sizeof(float) * OUTPUTS * INPUTS;
  IS(bytegate_model_from_tensors(NULL, &t, 1, NULL, &made), NULL_POINTER);
  IS(bytegate_model_from_tensors(architecture, NULL, 1, NULL, &made), NULL_POINTER);
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, NULL), NULL_POINTER);
  IS(bytegate_model_from_tensors(architecture, &t, 1, &o, &made), INVALID_ARGUMENT);
  IS(bytegate_model_from_tensors("{", &t, 1, NULL, &made), INVALID_ARGUMENT);
  IS(bytegate_model_from_tensors(architecture, &t, 0, NULL, &made), INVALID_ARGUMENT);
  t.bytes -= 1;
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, &made), INVALID_ARGUMENT);
  t.bytes += 1;
  t.shape = huge;
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, &made), INVALID_ARGUMENT);
  t.shape = negative;
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, &made), INVALID_ARGUMENT);
  t.shape = NULL;
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, &made), NULL_POINTER);
  t.shape = shape;
  t.data = NULL;
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, &made), NULL_POINTER);
  t.data = weight;
  t.dtype = "X9";
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, &made), INVALID_ARGUMENT);
  t.dtype = NULL;
  t.name = NULL;
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, &made), NULL_POINTER);
  t.name = "fc.weight";
  t.struct_size = 0;
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, &made), INVALID_ARGUMENT);
  EXPECT(made == NULL);
  t.struct_size = sizeof t;
  IS(bytegate_model_from_tensors(architecture, &t, 1, NULL, &made), OK);
  IS(bytegate_model_close(made), OK);
}

static void test_descriptions(void) {
  bytegate_model_info info = {.struct_size = sizeof info};
  char text[4];
  size_t needed;
  IS(bytegate_model_describe(NULL, NULL, 0, &needed), NULL_POINTER);
  IS(bytegate_model_describe(model, NULL, 0, NULL), NULL_POINTER);
  IS(bytegate_model_describe(model, NULL, 100000, &needed), NULL_POINTER);
  IS(bytegate_model_describe(model, text, sizeof text, &needed), BUFFER_TOO_SMALL);
  EXPECT(needed > sizeof text);
  IS(bytegate_model_describe(model, text, 0, &needed), BUFFER_TOO_SMALL);
  IS(bytegate_model_get_info(model, NULL), NULL_POINTER);
  IS(bytegate_model_get_info(NULL, &info), NULL_POINTER);
  info.struct_size = 8;
  IS(bytegate_model_get_info(model, &info), INVALID_ARGUMENT);
}

static void test_shapes(void) {
  static const int64_t wrong[] = {T, B, INPUTS + 1}, negative[] = {T, -1, INPUTS}, nine[9] = {1};
  static const int64_t huge[] = {INT64_MAX, INT64_MAX, INPUTS};
  int64_t out[BYTEGATE_MAX_RANK];
  size_t rank;
  IS(bytegate_model_output_shape(NULL, x_shape, 3, out, &rank), NULL_POINTER);
  IS(bytegate_model_output_shape(model, NULL, 3, out, &rank), NULL_POINTER);
  IS(bytegate_model_output_shape(model, x_shape, 3, NULL, &rank), NULL_POINTER);
  IS(bytegate_model_output_shape(model, x_shape, 3, out, NULL), NULL_POINTER);
  IS(bytegate_model_output_shape(model, wrong, 3, out, &rank), SHAPE_MISMATCH);
  SAYS("lstm");
  IS(bytegate_model_output_shape(model, x_shape, 1, out, &rank), SHAPE_MISMATCH);
  IS(bytegate_model_output_shape(model, NULL, 0, out, &rank), SHAPE_MISMATCH);
  IS(bytegate_model_output_shape(model, nine, 9, out, &rank), INVALID_ARGUMENT);
  IS(bytegate_model_output_shape(model, negative, 3, out, &rank), INVALID_ARGUMENT);
  IS(bytegate_model_output_shape(model, huge, 3, out, &rank), INVALID_ARGUMENT);
  IS(bytegate_model_output_shape(model, x_shape, 3, out, &rank), OK);
  EXPECT(rank == 3 && memcmp(out, y_shape, sizeof y_shape) == 0);
}

static void test_forward(void) {
  static const int64_t indices[] = {0}, one[] = {1};
  static const int64_t short_y[] = {T, B, OUTPUTS - 1}, zero_length[] = {T, 0, 1};
  bytegate_forward_options o = {.struct_size = sizeof o};
  IS(bytegate_model_forward(NULL, x, x_shape, 3, y, y_shape, 3, workspace, NULL), NULL_POINTER);
  IS(bytegate_model_forward(model, NULL, x_shape, 3, y, y_shape, 3, workspace, NULL), INVALID_ARGUMENT);
  IS(bytegate_model_forward(model, x, NULL, 3, y, y_shape, 3, workspace, NULL), NULL_POINTER);
  IS(bytegate_model_forward(model, x, x_shape, 3, NULL, y_shape, 3, workspace, NULL), INVALID_ARGUMENT);
  IS(bytegate_model_forward(model, x, x_shape, 3, y, NULL, 3, workspace, NULL), NULL_POINTER);
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, NULL, NULL), NULL_POINTER);
  IS(bytegate_model_forward(model, x, x_shape, 2, y, y_shape, 3, workspace, NULL), SHAPE_MISMATCH);
  IS(bytegate_model_forward(model, x, x_shape, 3, y, short_y, 3, workspace, NULL), SHAPE_MISMATCH);
  IS(bytegate_model_forward(model, x, x_shape, 99, y, y_shape, 3, workspace, NULL), INVALID_ARGUMENT);
  IS(bytegate_model_forward_indices(model, indices, one, 1, y, y_shape, 3, workspace, NULL), INVALID_ARGUMENT);
  SAYS("floats");
  o.lengths = zero_length;
  o.num_lengths = B;
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &o), INVALID_ARGUMENT);
  o.num_lengths = B - 1;
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &o), SHAPE_MISMATCH);
  o.lengths = NULL;
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &o), NULL_POINTER);
  o.num_lengths = 0;
  o.state = (bytegate_state*)workspace;
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &o), INVALID_HANDLE);
  o.state = NULL;
  o.struct_size = 1;
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &o), INVALID_ARGUMENT);
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, NULL), OK);
}

/* A struct of a later version: what this one does not know must be zero. */
static void test_larger_structs(void) {
  struct {
    bytegate_forward_options known;
    int64_t later;
  } o;
  memset(&o, 0, sizeof o);
  o.known.struct_size = sizeof o;
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &o.known), OK);
  o.later = 1;
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &o.known), INVALID_ARGUMENT);
  SAYS("does not know");
}

static void test_states(void) {
  static const int64_t other_shape[] = {T, B + 1, INPUTS};
  bytegate_forward_options o = {.struct_size = sizeof o};
  int64_t shape[BYTEGATE_MAX_RANK];
  size_t rank, count;
  float* data;
  IS(bytegate_state_create(NULL), NULL_POINTER);
  IS(bytegate_state_prepare(NULL, model, x_shape, 3), NULL_POINTER);
  IS(bytegate_state_prepare(state, NULL, x_shape, 3), NULL_POINTER);
  IS(bytegate_state_prepare(state, model, x_shape, 2), SHAPE_MISMATCH);
  IS(bytegate_state_tensor_count(state, 0, &count), INVALID_ARGUMENT);
  SAYS("empty");
  IS(bytegate_state_prepare(state, model, other_shape, 3), OK);
  IS(bytegate_state_tensor_count(state, 2, &count), INVALID_ARGUMENT);
  IS(bytegate_state_tensor_count(state, 0, NULL), NULL_POINTER);
  IS(bytegate_state_tensor_count(state, 1, &count), OK);
  EXPECT(count == 0);
  IS(bytegate_state_tensor(state, 0, 2, &data, shape, &rank), INVALID_ARGUMENT);
  IS(bytegate_state_tensor(state, 1, 0, &data, shape, &rank), INVALID_ARGUMENT);
  IS(bytegate_state_tensor(state, 0, 0, NULL, shape, &rank), NULL_POINTER);
  IS(bytegate_state_tensor(state, 0, 0, &data, NULL, &rank), NULL_POINTER);
  IS(bytegate_state_tensor(state, 0, 0, &data, shape, NULL), NULL_POINTER);
  o.state = state; /* of another batch */
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &o), SHAPE_MISMATCH);
  IS(bytegate_state_reset(NULL), NULL_POINTER);
  IS(bytegate_state_reset(state), OK);
}

static void test_workspaces(void) {
  bytegate_workspace* made = workspace;
  size_t bytes;
  IS(bytegate_workspace_create(1, NULL), NULL_POINTER);
  IS(bytegate_workspace_create(0, &made), INVALID_ARGUMENT);
  EXPECT(made == NULL);
  IS(bytegate_workspace_create(-1, &made), INVALID_ARGUMENT);
  IS(bytegate_workspace_create(257, &made), INVALID_ARGUMENT);
  IS(bytegate_workspace_bytes(NULL, &bytes), NULL_POINTER);
  IS(bytegate_workspace_bytes(workspace, NULL), NULL_POINTER);
}

/* Pointers that never were handles; none of them is followed. */
static void test_strangers(void) {
  int64_t here[64] = {0};
  uintptr_t values[6];
  size_t i, bytes;
  values[0] = 1;
  values[1] = (uintptr_t)here;
  values[2] = ~(uintptr_t)0;
  values[3] = (uintptr_t)workspace ^ ((uintptr_t)1 << 27); /* another generation */
  values[4] = (uintptr_t)workspace + 128;                  /* another slot */
  values[5] = (uintptr_t)workspace + 1;
  for (i = 0; i < 6; ++i) {
    IS(bytegate_workspace_bytes((const bytegate_workspace*)values[i], &bytes), INVALID_HANDLE);
    IS(bytegate_workspace_close((bytegate_workspace*)values[i]), INVALID_HANDLE);
    IS(bytegate_state_close((bytegate_state*)values[i]), INVALID_HANDLE);
  }
  IS(bytegate_model_close((bytegate_model*)workspace), INVALID_HANDLE);
  IS(bytegate_layer_close((bytegate_layer*)model), INVALID_HANDLE);
  IS(bytegate_workspace_bytes(workspace, &bytes), OK);
}

/* Handles that are closed, also when others are made in their place. */
static void test_closed(void) {
  enum { N = 300 };
  static bytegate_state *first[N], *second[N];
  bytegate_forward_options o = {.struct_size = sizeof o};
  bytegate_model* copy;
  bytegate_layer* other;
  bytegate_linear_options linear_o = linear_options();
  size_t i, j, needed;
  int64_t shape[BYTEGATE_MAX_RANK];
  for (i = 0; i < N; ++i) IS(bytegate_state_create(&first[i]), OK);
  for (i = 0; i < N; ++i) IS(bytegate_state_close(first[i]), OK);
  for (i = 0; i < N; ++i) IS(bytegate_state_create(&second[i]), OK);
  for (i = 0; i < N; ++i) {
    IS(bytegate_state_close(first[i]), INVALID_HANDLE);
    SAYS("closed");
    IS(bytegate_state_reset(first[i]), INVALID_HANDLE);
    for (j = 0; j < N; ++j) EXPECT(first[i] != second[j]);
  }
  o.state = first[0];
  IS(bytegate_model_forward(model, x, x_shape, 3, y, y_shape, 3, workspace, &o), INVALID_HANDLE);
  for (i = 0; i < N; ++i) IS(bytegate_state_close(second[i]), OK);

  IS(bytegate_model_quantize(model, NULL, &copy), OK);
  IS(bytegate_model_close(copy), OK);
  IS(bytegate_model_close(copy), INVALID_HANDLE);
  IS(bytegate_model_save(copy, "/tmp/never"), INVALID_HANDLE);
  IS(bytegate_model_describe(copy, NULL, 0, &needed), INVALID_HANDLE);
  IS(bytegate_model_output_shape(copy, x_shape, 3, shape, &needed), INVALID_HANDLE);
  IS(bytegate_model_forward(copy, x, x_shape, 3, y, y_shape, 3, workspace, NULL), INVALID_HANDLE);
  IS(bytegate_state_prepare(state, copy, x_shape, 3), INVALID_HANDLE);
  IS(bytegate_linear_create(&linear_o, &other), OK);
  IS(bytegate_layer_close(other), OK);
  IS(bytegate_layer_close(other), INVALID_HANDLE);
}

static void make_model(void) {
  static const char* const names[] = {"lstm", "fc"};
  const bytegate_layer* layers[2];
  bytegate_linear_options linear_o = linear_options();
  bytegate_recurrent_options lstm_o = lstm_options();
  fill(x, sizeof x / sizeof *x, 1, 1);
  fill(weight, sizeof weight / sizeof *weight, 2, 0.25f);
  fill(bias, sizeof bias / sizeof *bias, 3, 0.25f);
  IS(bytegate_lstm_create(&lstm_o, &lstm), OK);
  IS(bytegate_linear_create(&linear_o, &linear), OK);
  layers[0] = lstm;
  layers[1] = linear;
  IS(bytegate_model_create("hostile", names, layers, 2, &model), OK);
  IS(bytegate_state_create(&state), OK);
  IS(bytegate_workspace_create(1, &workspace), OK);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  make_model();
  test_backends();
  test_layers();
  test_recurrent_layers();
  test_making_models();
  test_loading(argv[1]);
  test_quantizing();
  test_tensors();
  test_descriptions();
  test_shapes();
  test_forward();
  test_larger_structs();
  test_states();
  test_workspaces();
  test_strangers();
  test_closed();
  IS(bytegate_model_close(NULL), OK);
  IS(bytegate_layer_close(NULL), OK);
  IS(bytegate_state_close(NULL), OK);
  IS(bytegate_workspace_close(NULL), OK);
  IS(bytegate_model_close(model), OK);
  IS(bytegate_layer_close(lstm), OK);
  IS(bytegate_layer_close(linear), OK);
  IS(bytegate_state_close(state), OK);
  IS(bytegate_workspace_close(workspace), OK);
  printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}

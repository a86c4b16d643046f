/* The C interface of bytegate, in C99. docs/c.md is its manual; a program needs no other header.
 *
 * Status. Every call that can fail returns a bytegate_status. After another one than BYTEGATE_OK, bytegate_last_error()
 * is a sentence that says what was wrong and what is accepted, and what the call would have written is not written,
 * except that a handle to be made is set to null. A forward that fails after its arguments were accepted may have
 * written to y and to the state. No C++ exception leaves a call.
 *
 * Handles. bytegate_model, bytegate_layer, bytegate_state and bytegate_workspace are opaque: the value of such a
 * pointer is a number that the library looks up and that points to no memory. Who makes a handle closes it. A handle
 * that has been closed, one of another type, or a pointer that never was a handle is BYTEGATE_INVALID_HANDLE in every
 * call. To close null does nothing and is BYTEGATE_OK. A handle must not be closed while another thread is in a call
 * that uses it. There can be about a million handles at a time.
 *
 * Memory. The library copies what it is passed, unless it is said otherwise, and never frees the caller's memory. Texts
 * are UTF-8 and end with a zero byte; paths are the operating system's bytes.
 *
 * Structs. The first member of a struct, struct_size, is its size: `bytegate_load_options options = {.struct_size =
 * sizeof options};`. All other members are zero by default, so later versions can add some: a smaller struct of a
 * program that was compiled with an earlier header is accepted, and so is a larger one whose unknown members are zero.
 *
 * Tensors are dense and row-major; a shape is an array of `rank` dimensions, rank 0 to BYTEGATE_MAX_RANK. A null
 * pointer is accepted where it is said, and for an array without elements.
 *
 * Threads. Models and layers are immutable, and any number of threads may use one at the same time, each with a
 * workspace and a state of its own. A workspace or state is for one call at a time. Every function is thread safe in
 * that sense, and bytegate_last_error() is the calling thread's.
 */
#ifndef BYTEGATE_BYTEGATE_H_
#define BYTEGATE_BYTEGATE_H_

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/** The most dimensions of a tensor. */
#define BYTEGATE_MAX_RANK 8

typedef enum bytegate_status {
  BYTEGATE_OK = 0,
  BYTEGATE_INVALID_ARGUMENT = 1,    /**< a value that the call does not accept */
  BYTEGATE_SHAPE_MISMATCH = 2,      /**< a tensor whose shape is not the one expected */
  BYTEGATE_UNKNOWN_BACKEND = 3,     /**< no backend of that name is registered */
  BYTEGATE_UNSUPPORTED_BACKEND = 4, /**< the backend exists and this CPU cannot run it */
  BYTEGATE_BAD_FILE = 5,            /**< a file that breaks its format */
  BYTEGATE_IO_ERROR = 6,            /**< the operating system refused to open, read or write */
  BYTEGATE_NULL_POINTER = 7,        /**< an argument is null that must not be */
  BYTEGATE_INVALID_HANDLE = 8,      /**< a handle that is closed, of another type, or never was one */
  BYTEGATE_BUFFER_TOO_SMALL = 9,    /**< a text does not fit into the caller's buffer */
  BYTEGATE_OUT_OF_MEMORY = 10,      /**< memory could not be allocated */
  BYTEGATE_SYSTEM_ERROR = 11,       /**< the operating system refused something else, such as a thread */
  BYTEGATE_INTERNAL_ERROR = 12      /**< anything else: a defect of the library */
} bytegate_status;

/** A model: named layers in order, each of which takes the output of the one before. */
typedef struct bytegate_model bytegate_model;
/** One layer, from which bytegate_model_create makes models. */
typedef struct bytegate_layer bytegate_layer;
/** The states of a model's recurrent and streaming layers between two calls. */
typedef struct bytegate_state bytegate_state;
/** Scratch memory of a forward, and the threads that it runs on. */
typedef struct bytegate_workspace bytegate_workspace;

/* ----------------------------------------------------------------------------------------------------------------- */

/** The version of the library that runs, such as "0.1.0". The text lives as long as the library. */
const char* bytegate_version(void);

/** What the last call that failed on this thread has to say; "" before the first. A call that succeeds leaves it as it
 *  is. The text is valid until another call fails on this thread, or the thread ends. */
const char* bytegate_last_error(void);

/** "BYTEGATE_OK", ...; "unknown status" for another number. The text lives as long as the library. */
const char* bytegate_status_name(bytegate_status status);

/* ----------------------------------------------------------------------------------------------------------------- */

/** One backend of the registry: code for one instruction set. */
typedef struct bytegate_backend_info {
  size_t struct_size;      /**< set by the caller */
  const char* name;        /**< "avx2"; it lives as long as the library */
  const char* description; /**< a few words; likewise */
  int32_t supported;       /**< 1: this CPU can run it */
  int32_t selected;        /**< 1: it is bytegate_default_backend's */
  int32_t priority;        /**< the supported backend with the highest is chosen */
  char unmet[228];         /**< what it needs and this CPU lacks, "avx512vnni, avx512bw"; "" if it is supported */
} bytegate_backend_info;

/** How many backends are registered. */
bytegate_status bytegate_backend_count(size_t* count);

/** The backend number `index`, best first. BYTEGATE_INVALID_ARGUMENT for an index that is not below the count. To know
 *  which one is selected, it chooses it as bytegate_default_backend does; if that fails, `selected` is 0 of all. */
bytegate_status bytegate_backend_get(size_t index, bytegate_backend_info* info);

/** The name of the backend that models run on unless they are bound to another: the one that the environment variable
 *  BYTEGATE_BACKEND names or, if it is unset, empty or `auto`, the best that this CPU can run. It is chosen once.
 *  BYTEGATE_UNKNOWN_BACKEND or BYTEGATE_UNSUPPORTED_BACKEND if the variable names one that cannot be had. */
bytegate_status bytegate_default_backend(const char** name);

/** Loads a backend from a shared library (an absolute path) and adds it, before any has been chosen. `name`, which may
 *  be null, receives its name. */
bytegate_status bytegate_load_backend(const char* path, const char** name);

/* ----------------------------------------------------------------------------------------------------------------- */

/** Which layers are quantized to int8, and how. */
typedef struct bytegate_quantize_options {
  size_t struct_size;
  const char* scheme;         /**< "per_row" (null), "torch", "torch_per_channel_7bit", ... */
  const char* const* kinds;   /**< [num_kinds] kinds of layers, "lstm"; none: all but Embedding */
  size_t num_kinds;           /**< */
  const char* const* include; /**< [num_include] patterns of layer names, with * and ?; none: all layers */
  size_t num_include;         /**< */
  const char* const* exclude; /**< [num_exclude] patterns of layers that stay as they are */
  size_t num_exclude;         /**< */
  const char* backend;        /**< null: each layer's own */
  int32_t num_threads;        /**< 1 to 256; 0 is 1. In bytegate_load_options, its own num_threads counts alone */
} bytegate_quantize_options;

typedef struct bytegate_load_options {
  size_t struct_size;
  const char* backend;      /**< null: bytegate_default_backend's */
  const char* architecture; /**< JSON (docs/file-format.md) for a file that carries none; null: the file's */
  const char* name;         /**< of the model; null: the file's, or else "Sequential" */
  const bytegate_quantize_options* quantize; /**< null: layers stay as the file has them */
  int32_t guess_architecture;                /**< 1: put layers into the one order that their sizes allow */
  int32_t ignore_extra;                      /**< 1: accept tensors that no layer uses */
  int32_t num_threads;                       /**< threads that read, quantize and pack layers, 1 to 256; 0 is 1 */
} bytegate_load_options;

/** Reads a model, float or int8, from a safetensors file. `options` may be null. BYTEGATE_IO_ERROR, BYTEGATE_BAD_FILE,
 *  BYTEGATE_INVALID_ARGUMENT, BYTEGATE_UNKNOWN_BACKEND, BYTEGATE_UNSUPPORTED_BACKEND, BYTEGATE_SYSTEM_ERROR (a thread).
 *
 *      bytegate_model* model;
 *      if (bytegate_model_load("model.safetensors", NULL, &model) != BYTEGATE_OK) puts(bytegate_last_error()); */
bytegate_status bytegate_model_load(const char* path, const bytegate_load_options* options, bytegate_model** model);

/** The same from the bytes of such a file in memory, which are not needed afterwards. */
bytegate_status bytegate_model_load_memory(const void* data, size_t size, const bytegate_load_options* options,
                                           bytegate_model** model);

/** A tensor from which a model is made. */
typedef struct bytegate_tensor {
  size_t struct_size;
  const char* name;     /**< as in a state dict: "lstm.weight_ih_l0" */
  const char* dtype;    /**< "F32" (null), "F16", "BF16", "F64", "I8"; an int8 matrix has its scales beside it, */
  const void* data;     /**< "lstm.weight_ih_l0_scale" */
  size_t bytes;         /**< of data; BYTEGATE_INVALID_ARGUMENT unless it is that of dtype and shape */
  const int64_t* shape; /**< [rank] */
  size_t rank;          /**< */
} bytegate_tensor;

/** Makes a model of layers of any kind from arrays: `architecture` is the JSON list of its layers, as in
 *  bytegate_load_options, and `tensors` [count] are what a file would hold for them. `options` may be null, and its
 *  `architecture` must be null. Errors as bytegate_model_load. */
bytegate_status bytegate_model_from_tensors(const char* architecture, const bytegate_tensor* tensors, size_t count,
                                            const bytegate_load_options* options, bytegate_model** model);

/** Makes a model of `count` layers, which may be closed afterwards and may be in several models. Layer names [count]
 *  must differ. `name` may be null: "Sequential". */
bytegate_status bytegate_model_create(const char* name, const char* const* layer_names,
                                      const bytegate_layer* const* layers, size_t count, bytegate_model** model);

/** Makes a model whose chosen layers have int8 weights; it shares the others with `model`, which stays as it is.
 *  `options` may be null. BYTEGATE_INVALID_ARGUMENT also for a kind that does not exist and for a pattern that matches
 *  no layer. */
bytegate_status bytegate_model_quantize(const bytegate_model* model, const bytegate_quantize_options* options,
                                        bytegate_model** quantized);

/** Writes the model as one safetensors file that bytegate_model_load reads alone. After an error, BYTEGATE_IO_ERROR,
 *  the old file, if any, is whole. */
bytegate_status bytegate_model_save(const bytegate_model* model, const char* path);

/** Closes a model; null is accepted. */
bytegate_status bytegate_model_close(bytegate_model* model);

/* ----------------------------------------------------------------------------------------------------------------- */

/** Writes a description of the model as JSON into buffer [size], with a zero byte at its end: an object with `name`,
 *  `text` (as PyTorch prints a model), `takes_indices`, `guessed`, `notes`, `parameters`, `bytes` and `layers`, each
 *  with `name`, `kind`, `text`, `quantized`, `scheme` (of int8 layers that quantize activations), `fields`, `tensors`,
 *  `parameters` and `bytes`. *needed is set to the bytes that it takes with the zero byte, also when it does not fit
 *  (BYTEGATE_BUFFER_TOO_SMALL; the buffer is not written). A null buffer of size 0 asks for *needed alone. */
bytegate_status bytegate_model_describe(const bytegate_model* model, char* buffer, size_t size, size_t* needed);

typedef struct bytegate_model_info {
  size_t struct_size;    /**< set by the caller */
  size_t num_layers;     /**< */
  int64_t input_size;    /**< last dimension of the input, or how many indices there are; -1: any */
  int32_t takes_indices; /**< 1: the model is called by bytegate_model_forward_indices */
  int32_t reserved;      /**< 0 */
} bytegate_model_info;

bytegate_status bytegate_model_get_info(const bytegate_model* model, bytegate_model_info* info);

/** The shape of the output for an input of shape x_shape [x_rank]. y_shape has room for BYTEGATE_MAX_RANK dimensions,
 *  of which *y_rank are set. BYTEGATE_SHAPE_MISMATCH, with a sentence that names the layer, for an input that is not
 *  accepted. */
bytegate_status bytegate_model_output_shape(const bytegate_model* model, const int64_t* x_shape, size_t x_rank,
                                            int64_t* y_shape, size_t* y_rank);

/** The optional parts of a forward. */
typedef struct bytegate_forward_options {
  size_t struct_size;
  bytegate_state* state;  /**< null: layers start from zeros. Else they start from it and leave the new state there */
  const int64_t* lengths; /**< [num_lengths] steps of each sequence of a padded batch; null: all steps */
  size_t num_lengths;     /**< the batch, or 0 */
} bytegate_forward_options;

/** Runs the model on floats: x of shape x_shape [x_rank], y of shape y_shape [y_rank], which must be that of
 *  bytegate_model_output_shape. x and y must not overlap. `options` may be null. Allocates nothing once the workspace
 *  and the state have been used with these shapes. The outputs are the same bits on every CPU. A row with NaN or
 *  infinity makes its own outputs NaN. BYTEGATE_SHAPE_MISMATCH, BYTEGATE_INVALID_ARGUMENT (x or y is null; the model
 *  takes indices; the state is of another model; lengths), BYTEGATE_NULL_POINTER for other arguments. */
bytegate_status bytegate_model_forward(const bytegate_model* model, const float* x, const int64_t* x_shape,
                                       size_t x_rank, float* y, const int64_t* y_shape, size_t y_rank,
                                       bytegate_workspace* workspace, const bytegate_forward_options* options);

/** The same for a model that begins with an Embedding: x are indices, each 0 to input_size - 1 (else
 *  BYTEGATE_INVALID_ARGUMENT). */
bytegate_status bytegate_model_forward_indices(const bytegate_model* model, const int64_t* x, const int64_t* x_shape,
                                               size_t x_rank, float* y, const int64_t* y_shape, size_t y_rank,
                                               bytegate_workspace* workspace, const bytegate_forward_options* options);

/* ----------------------------------------------------------------------------------------------------------------- */

/** Makes a workspace with num_threads - 1 threads of its own, 1 to 256. A forward uses as many of them as it pays for,
 *  and computes the same bits with any number. BYTEGATE_SYSTEM_ERROR if a thread cannot be started. */
bytegate_status bytegate_workspace_create(int32_t num_threads, bytegate_workspace** workspace);
/** Bytes that the workspace holds now. */
bytegate_status bytegate_workspace_bytes(const bytegate_workspace* workspace, size_t* bytes);
/** Closes a workspace and ends its threads; null is accepted. */
bytegate_status bytegate_workspace_close(bytegate_workspace* workspace);

/* ----------------------------------------------------------------------------------------------------------------- */

/** Makes an empty state. The first forward that it is passed to sets it to zeros, for that model and batch. */
bytegate_status bytegate_state_create(bytegate_state** state);
/** Sets a state to zeros for an input of that shape, so that bytegate_state_tensor can fill in another beginning. */
bytegate_status bytegate_state_prepare(bytegate_state* state, const bytegate_model* model, const int64_t* x_shape,
                                       size_t x_rank);
/** Makes a state empty again, for a new sequence, batch or model. */
bytegate_status bytegate_state_reset(bytegate_state* state);
/** How many tensors the state of the layer number `layer` of the model has: 2 of an LSTM (h and c), 1 of a GRU (h), 0
 *  of a layer without state. BYTEGATE_INVALID_ARGUMENT for an empty state or a layer that is not there. */
bytegate_status bytegate_state_tensor_count(const bytegate_state* state, size_t layer, size_t* count);
/** The tensor number `index` of a layer's state, to read or to write: for an LSTM h is 0 and c is 1, both
 *  [num_layers * directions, batch, size]. *data points into the state and is valid until the state is passed to
 *  another function than forward or this one; shape has room for BYTEGATE_MAX_RANK dimensions, of which *rank are set.
 *  BYTEGATE_INVALID_ARGUMENT for an empty state or a tensor that is not there. */
bytegate_status bytegate_state_tensor(bytegate_state* state, size_t layer, size_t index, float** data, int64_t* shape,
                                      size_t* rank);
/** Closes a state; null is accepted. */
bytegate_status bytegate_state_close(bytegate_state* state);

/* ----------------------------------------------------------------------------------------------------------------- */

/** y = x * weight^T + bias, as torch.nn.Linear. */
typedef struct bytegate_linear_options {
  size_t struct_size;
  int64_t in_features;  /**< 1 to 65,536 */
  int64_t out_features; /**< 1 or more */
  const float* weight;  /**< [out_features, in_features] */
  const float* bias;    /**< [out_features]; null: none */
  int32_t relu;         /**< 1: a ReLU behind it */
  const char* backend;  /**< null: bytegate_default_backend's */
} bytegate_linear_options;

/** Makes a float layer. BYTEGATE_INVALID_ARGUMENT for sizes, BYTEGATE_NULL_POINTER for a null weight. */
bytegate_status bytegate_linear_create(const bytegate_linear_options* options, bytegate_layer** layer);

/** The options and weights of torch.nn.LSTM and torch.nn.GRU. Arrays of weights have one pointer for each cell, layer
 * by layer, forward before reverse: num_layers * (bidirectional ? 2 : 1) of them. Below, gates is 4 of an LSTM (i, f,
 * g, o) and 3 of a GRU (r, z, n), output size is proj_size if that is not 0, else hidden_size, and the input of a layer
 *  behind the first is the output of the one before, of both directions. */
typedef struct bytegate_recurrent_options {
  size_t struct_size;
  int64_t input_size;    /**< 1 to 65,536 */
  int64_t hidden_size;   /**< 1 to 65,536 */
  int64_t num_layers;    /**< 0 is 1 */
  int64_t proj_size;     /**< LSTM: below hidden_size; 0: no projection */
  int32_t batch_first;   /**< 1: x is [B, T, input_size] and not [T, B, input_size] */
  int32_t bidirectional; /**< 1: both directions */
  int32_t reset_before;  /**< GRU: 1: the reset gate multiplies h before the recurrent product (ONNX's default) */
  size_t num_cells;      /**< length of the arrays below */
  const float* const* weight_ih; /**< each [gates * hidden_size, input size of the layer] */
  const float* const* weight_hh; /**< each [gates * hidden_size, output size] */
  const float* const* bias_ih;   /**< each [gates * hidden_size]; null, as bias_hh: the layer has no biases */
  const float* const* bias_hh;   /**< each [gates * hidden_size] */
  const float* const* weight_hr; /**< each [proj_size, hidden_size]; null without a projection */
  const char* backend;           /**< null: bytegate_default_backend's */
} bytegate_recurrent_options;

/** Make a float layer. BYTEGATE_INVALID_ARGUMENT for sizes and another number of cells, BYTEGATE_NULL_POINTER for
 * weights that are missing. */
bytegate_status bytegate_lstm_create(const bytegate_recurrent_options* options, bytegate_layer** layer);
bytegate_status bytegate_gru_create(const bytegate_recurrent_options* options, bytegate_layer** layer);

/** Closes a layer; models that it is in keep it. Null is accepted. */
bytegate_status bytegate_layer_close(bytegate_layer* layer);

#ifdef __cplusplus
} /* extern "C" */
#endif
#pragma GCC visibility pop

#endif /* BYTEGATE_BYTEGATE_H_ */

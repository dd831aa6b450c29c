/* The C API of edgecv: load an .ecv file, run it, look inside it. C99.
 *
 * Nothing here prints, aborts or throws. Functions that can fail return a status and fill `*error`
 * (may be NULL) with one line of text. Every pointer into a model or session stays valid until that
 * object is destroyed. Structs beginning with `size` grow at their end only: set it to sizeof(the
 * struct). What a library does not know yet of a struct that it fills becomes 0; of a struct that
 * it reads, it has to be 0.
 *
 * Threads: a model may be used from any number of threads; a session from one at a time. Work of
 * one run is shared among the threads of one pool of the process; results do not depend on their
 * number.
 *
 * Layout: a port (graph input or output) has an API layout, the one of the original ONNX graph,
 * usually NCHW, and a raw layout, how the core stores the tensor, usually NHWC. API axis i is
 * stored axis perm[i].
 */
#ifndef EDGECV_EDGECV_H_
#define EDGECV_EDGECV_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EDGECV_API __attribute__((visibility("default")))
#else
#define EDGECV_API
#endif

#define EDGECV_MAX_RANK 8
#define EDGECV_ERROR_TEXT 512

/* ---- status
 * ------------------------------------------------------------------------------------------------
 */

typedef enum edgecv_status {
  EDGECV_STATUS_OK = 0,
  EDGECV_STATUS_INVALID_ARGUMENT = 1, /* wrong shape, size, type, index or NULL */
  EDGECV_STATUS_IO = 2,               /* the operating system could not open, read or map */
  EDGECV_STATUS_OUT_OF_MEMORY = 3,    /* the allocator returned NULL */
  EDGECV_STATUS_NOT_ECV = 4,          /* the magic is not that of an .ecv file */
  EDGECV_STATUS_VERSION = 5,          /* needs a newer edgecv */
  EDGECV_STATUS_TRUNCATED = 6,        /* shorter than its header says */
  EDGECV_STATUS_CHECKSUM = 7,         /* damaged */
  EDGECV_STATUS_CORRUPT = 8,          /* a record breaks a rule of docs/format.md */
  EDGECV_STATUS_LIMIT = 9,            /* well-formed, but above a limit of this build */
  EDGECV_STATUS_UNSUPPORTED = 10,     /* well-formed, but this build cannot do it */
  EDGECV_STATUS_NAN_INPUT = 11,       /* a float input holds a NaN */
  EDGECV_STATUS_VERIFY_FAILED = 12,   /* a golden digest differs */
  EDGECV_STATUS_WRONG_STATE = 13,     /* calls in the wrong order */
  EDGECV_STATUS_INTERNAL = 14,        /* a bug in edgecv */
  EDGECV_STATUS_INT_ = 0x7FFFFFFF     /* holds any int: a wrong value is an error, not undefined */
} edgecv_status;

typedef struct edgecv_error {
  edgecv_status status;
  char text[EDGECV_ERROR_TEXT]; /* one line, NUL-terminated */
} edgecv_error;

/* The interface this header describes. A program compiled with it runs on a library whose
 * edgecv_api_version() is the same or, from 1.0 on, above it with the same major number. */
#define EDGECV_API_VERSION_MAJOR 0
#define EDGECV_API_VERSION_MINOR 1
#define EDGECV_API_VERSION (EDGECV_API_VERSION_MAJOR * 1000 + EDGECV_API_VERSION_MINOR)

EDGECV_API int32_t edgecv_api_version(void); /* EDGECV_API_VERSION of the library */
EDGECV_API const char* edgecv_version(void); /* "1.2.3" */
EDGECV_API const char* edgecv_status_name(edgecv_status status); /* "ok", "invalid_argument", ... */

/* ---- model
 * -------------------------------------------------------------------------------------------------
 */

typedef struct edgecv_model edgecv_model;
typedef struct edgecv_session edgecv_session;

typedef enum edgecv_dtype {
  EDGECV_DTYPE_F32 = 1,
  EDGECV_DTYPE_S8 = 2,
  EDGECV_DTYPE_S32 = 3,
  EDGECV_DTYPE_INT_ = 0x7FFFFFFF /* holds any int: a wrong value is an error, not undefined */
} edgecv_dtype;

typedef enum edgecv_layout {
  EDGECV_LAYOUT_API = 0,          /* as in the ONNX graph */
  EDGECV_LAYOUT_RAW = 1,          /* as stored */
  EDGECV_LAYOUT_INT_ = 0x7FFFFFFF /* holds any int: a wrong value is an error, not undefined */
} edgecv_layout;

/* All memory of a model and its sessions. `allocate` returns NULL when there is none; both may be
 * called from any thread that calls edgecv, never during edgecv_session_run. */
typedef struct edgecv_allocator {
  void* context;
  void* (*allocate)(void* context, size_t bytes, size_t alignment);
  void (*release)(void* context, void* pointer); /* accepts NULL */
} edgecv_allocator;

typedef enum edgecv_log_level {
  EDGECV_LOG_DEBUG = 0,
  EDGECV_LOG_INFO = 1,
  EDGECV_LOG_WARNING = 2
} edgecv_log_level;

typedef void (*edgecv_log_function)(void* context, edgecv_log_level level, const char* text);

/* A chain runs consecutive steps a stripe of rows at a time: what lies between them is never whole
 * in memory. Results are the same bits with and without chains. */
typedef enum edgecv_chains {
  EDGECV_CHAINS_AUTO = 1, /* where they are faster */
  EDGECV_CHAINS_OFF = 2,
  EDGECV_CHAINS_ALL = 3 /* wherever they are possible */
} edgecv_chains;

typedef struct edgecv_load_options {
  size_t size;
  int32_t threads; /* of one run; 0: all CPUs of the affinity mask */
  int32_t
      keep_all; /* 1: every tensor keeps memory of its own, so that all can be read after a run */
  const char*
      isa; /* kernels up to this instruction set ("reference", "avx2", ...); NULL: the environment
              variable EDGECV_FORCE_ISA, or the best of this CPU. Unknown or absent: an error */
  int32_t
      borrow; /* edgecv_model_load_memory: 1: use the caller's memory, which must then outlive model
                 and sessions, when it is aligned to 64 bytes; otherwise, and with 0, copy it */
  int32_t chains; /* an edgecv_chains; 0: the environment variable EDGECV_CHAINS ("auto", "off",
                     "all"), or EDGECV_CHAINS_AUTO */
  uint64_t max_file_bytes;    /* refuse larger files (EDGECV_STATUS_LIMIT); 0: the limits of
                                 docs/format.md, */
  uint64_t max_arena_bytes;   /* likewise for activations and scratch of a session */
  uint64_t max_work;          /* and for multiply-adds of one run */
  edgecv_allocator allocator; /* allocate == NULL: the C library */
  edgecv_log_function log;    /* NULL: silent */
  void* log_context;
  int32_t read_file; /* edgecv_model_load, edgecv_model_load_fd: 1: read the file into memory
                        instead of mapping it: whatever is done to it later does no harm */
  int32_t reserved;  /* 0 */
} edgecv_load_options;

/* `options` may be NULL: all defaults. `*model` is set only on EDGECV_STATUS_OK.
 * The file is mapped, not copied: replace it by rename while a model is loaded, never write into it
 * or truncate it (the process would die of SIGBUS). Set `read_file` where that cannot be kept. */
EDGECV_API edgecv_status edgecv_model_load(const char* path, const edgecv_load_options* options,
                                           edgecv_model** model, edgecv_error* error);
/* A file is read from its start, a pipe from where it is; the descriptor stays open and belongs to
 * the caller. */
EDGECV_API edgecv_status edgecv_model_load_fd(int fd, const edgecv_load_options* options,
                                              edgecv_model** model, edgecv_error* error);
EDGECV_API edgecv_status edgecv_model_load_memory(const void* data, size_t bytes,
                                                  const edgecv_load_options* options,
                                                  edgecv_model** model, edgecv_error* error);
/* Accepts NULL. Sessions of the model live on and keep what they need. */
EDGECV_API void edgecv_model_destroy(edgecv_model* model);

typedef struct edgecv_model_info {
  size_t size;
  uint32_t input_count;
  uint32_t output_count;
  uint32_t meta_count;
  uint32_t tensor_count;
  uint32_t op_count;
  uint32_t step_count;
  uint32_t preprocess_count;
  uint32_t golden_count;
  int32_t threads; /* of one run */
  int32_t keep_all;
  const char* isa; /* what the kernels were chosen for */
  uint64_t file_bytes;
  uint64_t weight_bytes;  /* constants in the file */
  uint64_t packed_bytes;  /* weights as packed for this CPU */
  uint64_t arena_bytes;   /* activations, of each session */
  uint64_t scratch_bytes; /* of each session, all threads; line buffers of chains included */
  uint64_t macs;          /* multiply-adds of one run */
  uint32_t version_major; /* of the file */
  uint32_t version_minor;
  uint32_t chain_count;
} edgecv_model_info;

EDGECV_API edgecv_status edgecv_model_get_info(const edgecv_model* model, edgecv_model_info* info,
                                               edgecv_error* error);

typedef struct edgecv_port_info {
  size_t size;
  const char* name;
  uint32_t tensor;
  edgecv_dtype dtype; /* as stored; EDGECV_DTYPE_S8 ports also take and give float */
  int32_t rank;
  int32_t dims[EDGECV_MAX_RANK]; /* API layout */
  int32_t perm[EDGECV_MAX_RANK]; /* dims[i] == stored dims[perm[i]] */
  int32_t stored_dims[EDGECV_MAX_RANK];
  float scale; /* EDGECV_DTYPE_S8: real = scale * (q - zero_point) */
  int32_t zero_point;
  int32_t preprocess; /* index for edgecv_model_preprocess, or -1 */
  uint64_t elements;
} edgecv_port_info;

EDGECV_API edgecv_status edgecv_model_input(const edgecv_model* model, uint32_t index,
                                            edgecv_port_info* info, edgecv_error* error);
EDGECV_API edgecv_status edgecv_model_output(const edgecv_model* model, uint32_t index,
                                             edgecv_port_info* info, edgecv_error* error);

/* The value of a META key, or NULL. `*bytes` (may be NULL) is its length; values are NUL-terminated
 * besides. */
EDGECV_API const char* edgecv_model_meta(const edgecv_model* model, const char* key, size_t* bytes);
EDGECV_API edgecv_status edgecv_model_meta_at(const edgecv_model* model, uint32_t index,
                                              const char** key, const char** value,
                                              size_t* value_bytes, edgecv_error* error);

/* Judges a file without planning it: EDGECV_STATUS_OK when edgecv_model_load_memory would accept
 * its format. */
EDGECV_API edgecv_status edgecv_check_file(const void* data, size_t bytes, edgecv_error* error);

/* ---- what is inside
 * ---------------------------------------------------------------------------------------- */

typedef struct edgecv_tensor_info {
  size_t size;
  const char* name;
  edgecv_dtype dtype;
  int32_t constant; /* 0, 1 */
  int32_t rank;
  int32_t dims[EDGECV_MAX_RANK]; /* stored */
  float scale;
  int32_t zero_point;
  uint64_t bytes;
  int64_t arena_offset; /* of activations; -1: constant, unused or inside a chain */
} edgecv_tensor_info;

typedef struct edgecv_op_info {
  size_t size;
  const char* name; /* of the ONNX node */
  const char* code; /* "Conv2d", ... */
  uint32_t output;  /* tensor */
  uint32_t input_count;
  uint32_t first_step; /* steps [first_step, first_step + step_count) do it; 0 steps: only a view */
  uint32_t step_count;
  uint64_t macs;
} edgecv_op_info;

typedef struct edgecv_step_info {
  size_t size;
  uint32_t op;
  uint32_t output;    /* tensor */
  const char* family; /* "conv_s8", ... */
  const char* kernel; /* "dwconv_s8_3x3_c16__avx2", ... */
  const char* isa;    /* of the kernel */
  uint64_t packed_bytes;
  uint64_t scratch_bytes; /* a thread */
  uint64_t macs;
  int64_t work_items;
  int32_t parallel; /* 1: shared among the threads of the run */
  int32_t chain;    /* that it is part of, for edgecv_model_chain; -1: none */
} edgecv_step_info;

typedef struct edgecv_chain_info {
  size_t size;
  uint32_t first_step;
  uint32_t step_count;
  int32_t stripe_rows;   /* output rows of the last step that are made at a time */
  int32_t stripes;       /* of an image; the threads of a run share them */
  uint64_t buffer_bytes; /* of the line buffers of a thread */
} edgecv_chain_info;

EDGECV_API edgecv_status edgecv_model_tensor(const edgecv_model* model, uint32_t index,
                                             edgecv_tensor_info* info, edgecv_error* error);
EDGECV_API edgecv_status edgecv_model_op(const edgecv_model* model, uint32_t index,
                                         edgecv_op_info* info, edgecv_error* error);
/* The tensor id of an op's input; UINT32_MAX: an optional input that is absent. */
EDGECV_API edgecv_status edgecv_model_op_input(const edgecv_model* model, uint32_t op,
                                               uint32_t input, uint32_t* tensor,
                                               edgecv_error* error);
EDGECV_API edgecv_status edgecv_model_step(const edgecv_model* model, uint32_t index,
                                           edgecv_step_info* info, edgecv_error* error);
EDGECV_API edgecv_status edgecv_model_chain(const edgecv_model* model, uint32_t index,
                                            edgecv_chain_info* info, edgecv_error* error);

/* ---- pre-processing: docs/preprocess.md
 * -------------------------------------------------------------------- */

typedef struct edgecv_preprocess {
  size_t size;
  uint32_t resize_mode;   /* 0 none, 1 shorter side, 2 stretch, 3 letterbox */
  uint32_t interpolation; /* 0 bilinear, 1 bicubic */
  uint32_t antialias;     /* 0, 1 */
  int32_t resize_width;
  int32_t resize_height;
  int32_t crop_width; /* 0: no crop */
  int32_t crop_height;
  uint32_t color_order; /* 0 RGB, 1 BGR, 2 grey */
  float mean[4];        /* grey levels, in the order the model sees; 0 past the channels */
  float std[4];         /* likewise; 1 past the channels */
  uint8_t fill[4];      /* RGB around a letterboxed or too small picture; the last is 0 */
} edgecv_preprocess;

EDGECV_API edgecv_status edgecv_model_preprocess(const edgecv_model* model, uint32_t index,
                                                 edgecv_preprocess* preprocess,
                                                 edgecv_error* error);

/* HWC RGB, one byte a channel; row y begins at pixels + y * stride, stride >= 3 * width. */
typedef struct edgecv_image {
  size_t size;
  const uint8_t* pixels;
  int32_t width;
  int32_t height;
  size_t stride;
} edgecv_image;

typedef enum edgecv_pixels {
  EDGECV_PIXELS_U8 = 0,  /* resized and cropped, in the colour order of the pre-processing */
  EDGECV_PIXELS_F32 = 1, /* (p - mean) / std */
  EDGECV_PIXELS_S8 = 2,  /* the same quantized */
  EDGECV_PIXELS_INT_ = 0x7FFFFFFF /* holds any int: a wrong value is an error, not undefined */
} edgecv_pixels;

EDGECV_API edgecv_status edgecv_preprocess_check(const edgecv_preprocess* preprocess,
                                                 edgecv_error* error);
/* What a picture of image_width x image_height becomes. */
EDGECV_API edgecv_status edgecv_preprocess_size(const edgecv_preprocess* preprocess,
                                                int32_t image_width, int32_t image_height,
                                                int32_t* width, int32_t* height, int32_t* channels,
                                                edgecv_error* error);
/* Writes height * width * channels elements of `kind`, HWC. scale and zero_point: EDGECV_PIXELS_S8
 * alone. */
EDGECV_API edgecv_status edgecv_preprocess_run(const edgecv_preprocess* preprocess,
                                               const edgecv_image* image, edgecv_pixels kind,
                                               float scale, int32_t zero_point, void* data,
                                               size_t bytes, edgecv_error* error);

/* ---- camera frames: docs/camera.md
 * --------------------------------------------------------------------------------------------- */

/* Rows top to bottom, pixels left to right, one byte a sample. */
typedef enum edgecv_pixel_format {
  EDGECV_FORMAT_RGB = 0,
  EDGECV_FORMAT_BGR = 1,
  EDGECV_FORMAT_GREY = 2,
  EDGECV_FORMAT_NV12 = 3, /* plane 0: Y; plane 1: U V for 2 x 2 pixels */
  EDGECV_FORMAT_NV21 = 4, /* the same with V U */
  EDGECV_FORMAT_YUYV = 5, /* plane 0: Y0 U Y1 V */
  EDGECV_FORMAT_INT_ = 0x7FFFFFFF
} edgecv_pixel_format;

/* What Y, U and V mean. */
typedef enum edgecv_yuv_color {
  EDGECV_YUV_BT601 = 0,      /* Y 16..235 */
  EDGECV_YUV_BT601_FULL = 1, /* Y 0..255: JPEG, many webcams */
  EDGECV_YUV_BT709 = 2,      /* Y 16..235: HD video */
  EDGECV_YUV_BT709_FULL = 3,
  EDGECV_YUV_INT_ = 0x7FFFFFFF
} edgecv_yuv_color;

/* A frame and the region of it that is the picture. All zeros but `size`, width, height and planes
 * is a whole RGB frame without gaps between its rows. */
typedef struct edgecv_frame {
  size_t size;
  edgecv_pixel_format format;
  edgecv_yuv_color color; /* of NV12, NV21, YUYV */
  int32_t width;          /* of the frame, 1..32768 */
  int32_t height;
  const uint8_t* planes[2]; /* plane 1: NV12, NV21 */
  size_t strides[2];        /* bytes from a row to the next; 0: the rows have no gaps */
  int32_t roi_left;         /* the region; all 0: the whole frame */
  int32_t roi_top;
  int32_t roi_width;
  int32_t roi_height;
} edgecv_frame;

/* edgecv_preprocess_run for the region of a frame, in one pass over its rows. The same bits as
 * edgecv_frame_to_rgb and then edgecv_preprocess_run. */
EDGECV_API edgecv_status edgecv_preprocess_frame(const edgecv_preprocess* preprocess,
                                                 const edgecv_frame* frame, edgecv_pixels kind,
                                                 float scale, int32_t zero_point, void* data,
                                                 size_t bytes, edgecv_error* error);
/* The region as HWC RGB: bytes is 3 * its width * its height. */
EDGECV_API edgecv_status edgecv_frame_to_rgb(const edgecv_frame* frame, uint8_t* pixels,
                                             size_t bytes, edgecv_error* error);

/* ---- session
 * -----------------------------------------------------------------------------------------------
 */

EDGECV_API edgecv_status edgecv_session_create(edgecv_model* model, edgecv_session** session,
                                               edgecv_error* error);
/* A session to look into: every tensor has memory of its own and nothing runs as a chain, whatever
 * the model's options, so that all of them can be read in op callbacks and after a run. */
EDGECV_API edgecv_status edgecv_session_create_traced(edgecv_model* model, edgecv_session** session,
                                                      edgecv_error* error);
EDGECV_API void edgecv_session_destroy(edgecv_session* session); /* accepts NULL */
/* The model of the session, alive as long as it is and not the caller's to destroy; NULL for NULL.
 */
EDGECV_API const edgecv_model* edgecv_session_model(const edgecv_session* session);

/* Fills input `index` from `bytes` bytes of `dtype`. A float is quantized as docs/ops.md says
 * (EDGECV_STATUS_NAN_INPUT for a NaN); otherwise dtype must be the stored one. `data` needs the
 * alignment of its elements only. */
EDGECV_API edgecv_status edgecv_session_set_input(edgecv_session* session, uint32_t index,
                                                  const void* data, size_t bytes,
                                                  edgecv_dtype dtype, edgecv_layout layout,
                                                  edgecv_error* error);
/* The input's own memory, raw layout, aligned to 64 bytes: write it whole before the run. Counts as
 * filled. */
EDGECV_API edgecv_status edgecv_session_map_input(edgecv_session* session, uint32_t index,
                                                  void** data, size_t* bytes, edgecv_error* error);

/* Fills batch entry `batch` of input `index` through the pre-processing stored in the file. The
 * input counts as filled when its last batch entry is. */
EDGECV_API edgecv_status edgecv_session_set_image(edgecv_session* session, uint32_t index,
                                                  uint32_t batch, const edgecv_image* image,
                                                  edgecv_error* error);

/* The same for the region of a camera frame. */
EDGECV_API edgecv_status edgecv_session_set_frame(edgecv_session* session, uint32_t index,
                                                  uint32_t batch, const edgecv_frame* frame,
                                                  edgecv_error* error);

/* Every input must have been filled since the last run (EDGECV_STATUS_WRONG_STATE): a run reuses
 * their memory. */
EDGECV_API edgecv_status edgecv_session_run(edgecv_session* session, edgecv_error* error);

/* After a run and before an input is filled again. dtype: EDGECV_DTYPE_F32 (a quantized output is
 * dequantized) or the stored one. */
EDGECV_API edgecv_status edgecv_session_get_output(const edgecv_session* session, uint32_t index,
                                                   void* data, size_t bytes, edgecv_dtype dtype,
                                                   edgecv_layout layout, edgecv_error* error);
/* The output's own memory, raw layout; valid until an input is filled again. */
EDGECV_API edgecv_status edgecv_session_map_output(const edgecv_session* session, uint32_t index,
                                                   const void** data, size_t* bytes,
                                                   edgecv_error* error);
/* After a run of a traced session or a keep_all model: any tensor; in an op callback: inputs and
 * output of that op, unless they lie inside a chain (EDGECV_STATUS_WRONG_STATE); always: constants.
 * Raw layout, dtype as for outputs. */
EDGECV_API edgecv_status edgecv_session_read_tensor(const edgecv_session* session, uint32_t tensor,
                                                    void* data, size_t bytes, edgecv_dtype dtype,
                                                    edgecv_error* error);

/* Time each step of the following runs (1) or not (0, the default). */
EDGECV_API edgecv_status edgecv_session_set_timing(edgecv_session* session, int32_t on,
                                                   edgecv_error* error);
/* Nanoseconds of each step of the last run; count must be the model's step_count. The time of a
 * chain is divided among its steps. */
EDGECV_API edgecv_status edgecv_session_step_times(const edgecv_session* session,
                                                   uint64_t* nanoseconds, size_t count,
                                                   edgecv_error* error);
/* Called on the running thread after each op, in order, for the ops of a chain after all of it;
 * NULL: none. Of this session's functions it
 * may call edgecv_session_read_tensor alone. */
typedef void (*edgecv_op_function)(void* context, uint32_t op);
EDGECV_API edgecv_status edgecv_session_set_op_callback(edgecv_session* session,
                                                        edgecv_op_function function, void* context,
                                                        edgecv_error* error);

/* ---- verify
 * ------------------------------------------------------------------------------------------------
 */

typedef struct edgecv_verify_report {
  size_t size;
  uint32_t goldens;   /* run */
  uint32_t digests;   /* compared */
  uint32_t failed;    /* of them, different */
  uint32_t failed_op; /* the first; UINT32_MAX: none */
  uint32_t failed_golden;
  const char* failed_name;   /* of the op, or NULL */
  const char* failed_kernel; /* of the op's first step, or NULL */
  char text[EDGECV_ERROR_TEXT];
} edgecv_verify_report;

/* Runs the golden inputs stored in the file with the kernels of this model and compares every
 * digest. EDGECV_STATUS_VERIFY_FAILED when one differs; `report` (may be NULL) is filled in both
 * cases. A file without goldens gives EDGECV_STATUS_OK and goldens == 0. */
EDGECV_API edgecv_status edgecv_model_verify(edgecv_model* model, edgecv_verify_report* report,
                                             edgecv_error* error);

/* ---- this machine
 * ------------------------------------------------------------------------------------------ */

/* Instruction sets edgecv knows, lowest first: index 0.. until NULL. `*usable` (may be NULL): this
 * CPU has it and this build has kernels for it. */
EDGECV_API const char* edgecv_isa_name(uint32_t index, int32_t* usable);
/* "AMD EPYC 7B13", "Raspberry Pi 4 Model B Rev 1.4", "unknown"; cut to size - 1 characters. */
EDGECV_API void edgecv_cpu_name(char* text, size_t size);
EDGECV_API int32_t edgecv_available_threads(void);

typedef struct edgecv_kernel_info {
  size_t size;
  const char* name;
  const char* family;
  const char* isa;
  int32_t usable; /* this CPU has what it needs */
} edgecv_kernel_info;

EDGECV_API uint32_t edgecv_kernel_count(void);
EDGECV_API edgecv_status edgecv_kernel_at(uint32_t index, edgecv_kernel_info* info,
                                          edgecv_error* error);

#ifdef __cplusplus
}
#endif

#endif /* EDGECV_EDGECV_H_ */

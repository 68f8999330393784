/*
 * trainyard/dlpack.h: the DLPack tensor struct (https://github.com/dmlc/dlpack), the one that NumPy, PyTorch, CuPy, JAX
 * and TVM speak. DLPack's own header is used where the compiler finds it; otherwise the part of it that this library
 * needs is declared here, with the same layout.
 */
#ifndef TRAINYARD_DLPACK_H_
#define TRAINYARD_DLPACK_H_

#include <stdint.h>

#if !defined(DLPACK_DLPACK_H_) && defined(__has_include)
#if __has_include(<dlpack/dlpack.h>)
#include <dlpack/dlpack.h>
#endif
#endif

#ifndef DLPACK_DLPACK_H_
#define DLPACK_DLPACK_H_

/** Where the data is. */
typedef enum { kDLCPU = 1, kDLCUDA = 2, kDLCUDAHost = 3 } DLDeviceType;

/** What a number is. */
typedef enum { kDLInt = 0U, kDLUInt = 1U, kDLFloat = 2U, kDLBfloat = 4U, kDLBool = 6U } DLDataTypeCode;

typedef struct {
  DLDeviceType device_type;
  int32_t device_id;
} DLDevice;

typedef struct {
  uint8_t code;   /* DLDataTypeCode */
  uint8_t bits;   /* 8, 16, 32, 64 */
  uint16_t lanes; /* 1 */
} DLDataType;

typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;       /* ndim numbers of elements */
  int64_t *strides;     /* ndim numbers of elements, or NULL: compact and row-major */
  uint64_t byte_offset; /* from `data` to the first element */
} DLTensor;

#endif /* DLPACK_DLPACK_H_ */

#endif /* TRAINYARD_DLPACK_H_ */

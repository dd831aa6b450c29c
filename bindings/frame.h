// Camera frames from Python: the tuple of edgecv.Frame.to_core().
#ifndef EDGECV_BINDINGS_FRAME_H_
#define EDGECV_BINDINGS_FRAME_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "edgecv/edgecv.h"

namespace edgecv_bindings {

// The planes are kept alive with the struct that points into them.
struct FrameView {
  edgecv_frame frame;
  pybind11::array planes[2];
};

// (format, color, width, height, left, top, region width, region height, planes): each plane a
// uint8 array [rows, bytes], the bytes of a row one after the other. Raises ValueError when a plane
// is too small.
FrameView read_frame(const pybind11::tuple& given);

}  // namespace edgecv_bindings

#endif  // EDGECV_BINDINGS_FRAME_H_

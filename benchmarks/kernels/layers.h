// What the bench times: the layers of layers.inc (real networks) and of others.inc (forms that
// those do not have).
#ifndef EDGECV_BENCHMARKS_KERNELS_LAYERS_H_
#define EDGECV_BENCHMARKS_KERNELS_LAYERS_H_

#include <functional>
#include <string>
#include <vector>

#include "cases.h"

namespace edgecv_bench {

struct Layer {
  std::string networks;  // "mobilenet_v2:4 ssdlite_mbv2_320:2": how often each has it
  std::string name;      // "pw 14x14 64->384"
  edgecv::kernels::Family family;
  bool has_weights;  // takes weight patterns
  bool in_macs;      // Case::operations counts multiply-accumulates
  std::function<edgecv_test::Case(edgecv_test::Draw&, edgecv_test::WeightPattern)> make;
};

// The int8 layers, or with `f32` the float ones.
std::vector<Layer> all_layers(bool f32);

// Bytes a kernel has to read and write at least: inputs and output.
double moved_bytes(const edgecv_test::Case& c);

}  // namespace edgecv_bench

#endif  // EDGECV_BENCHMARKS_KERNELS_LAYERS_H_

// The layers of MobileNetV2 and EfficientNet-Lite0 at 224 x 224, one entry a distinct shape.
#ifndef EDGECV_BENCHMARKS_KERNELS_LAYERS_H_
#define EDGECV_BENCHMARKS_KERNELS_LAYERS_H_

#include <functional>
#include <string>
#include <vector>

#include "cases.h"

namespace edgecv_bench {

struct Layer {
  std::string model;  // "mobilenet_v2", "efficientnet_lite0"
  std::string name;   // "pw 14x14 64->384"
  int count;          // how often the network has it
  edgecv::kernels::Family family;
  std::function<edgecv_test::Case(edgecv_test::Draw&)> make;
};

// The int8 layers, or with `f32` the float ones. `weights` is what convolutions are filled with.
std::vector<Layer> network_layers(bool f32, edgecv_test::WeightPattern weights);

}  // namespace edgecv_bench

#endif  // EDGECV_BENCHMARKS_KERNELS_LAYERS_H_

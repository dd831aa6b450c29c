"""The bars that the results are held to, in one place."""

from __future__ import annotations

# Rival's time / ours, by network, and the geometric mean over all networks.
ANY_RIVAL = {
    "shufflenet_v2": 2.2,
    "mobilenet_v3_large": 1.75,
    "mobilenet_v3_small": 1.75,
    "mobilenet_v1": 1.4,
    "mobilenet_v2": 1.4,
    "efficientnet_lite0": 1.4,
    "ssdlite_mbv2_320": 1.4,
    "yolov8n_320": 1.4,
    "yolov8n_640": 1.4,
    "resnet18": 1.15,
    "resnet50": 1.15,
}
ANY_RIVAL_MEAN = 1.6
EXACT_RIVAL_MEAN = 2.0

# The same with full 8-bit weights.
PLAIN_MOBILE = 1.05
PLAIN_MEAN = 1.2
PLAIN_EXACT_MEAN = 1.5
MOBILE = (
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "efficientnet_lite0",
    "shufflenet_v2",
    "ssdlite_mbv2_320",
)

OWN_FP32 = 1.8  # our fp32 / our int8, on every network
RIVAL_FP32 = 0.9  # the best rival's fp32 / our fp32, on every network
SSE41 = 0.4  # our time / our time with SSE4.1 alone, on every network
TWO_THREADS_MEAN = 1.75  # our one thread / our two threads, geometric mean

# A process that loads and runs MobileNetV2, from Python.
COLD_MODEL = "mobilenet_v2"
COLD_OVER_NUMPY_MS = 40.0
MEMORY_OVER_NUMPY_MB = 12.0
LOAD_MS = 15.0

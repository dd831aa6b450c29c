"""Makes float ONNX models smaller before they are converted: pruning, low rank, shared weights.

Every function takes a model (path, bytes or onnx.ModelProto) and returns a new onnx.ModelProto with
the same inputs and outputs, and a report. docs/compression.md describes them.
"""

"""Passes over the converter's graph: declutter (ONNX to ONNX) and lower (ONNX to docs/ops.md)."""

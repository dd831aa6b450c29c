"""ONNX files in and out of the converter's graph. Needs the onnx package."""

"""The intermediate representation between an ONNX model and an `.ecv` file."""

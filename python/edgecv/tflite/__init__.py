"""TFLite models: a flatbuffer translated into ONNX, which the importer takes from there."""

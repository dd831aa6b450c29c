"""Lowering: ONNX ops on ONNX layouts -> the ops of docs/ops.md on stored layouts, all f32."""

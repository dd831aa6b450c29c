"""Passes from ONNX ops to simpler ONNX ops; their order is in ``passes/pipeline.py``.

Each keeps the graph expressible as ONNX and is idempotent. ``Silu`` (x * sigmoid(x)) is the one op
outside ONNX opset 21; the exporter writes it as its two nodes.
"""

"""Calibration and the choice of quantization parameters."""

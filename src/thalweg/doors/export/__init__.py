"""Trained models for other programs: ONNX, StableHLO and PyTorch."""

"""Model and library cards, publication on the Hub, ONNX export and conversion of published checkpoints."""

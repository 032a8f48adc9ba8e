"""The workshop behind `scripts/convert_weights.py`: published weights in, the shipped pack out.

The data's way, one module each::

    packages ── dlib_format ─┬─ resnet ──────┬─ graph (ONNX)
        │                    └─ five_points ─│─ npz
        └─ mtcnn ────────────────────────────┘
    originals ── golden, compare             what dlib and PyTorch say to the same pictures
"""

"""The workshop behind `scripts/convert_weights.py`: published weights in, the shipped pack out.

The data's way, one module each::

    packages ── dlib_format ─┬─ dlib_net ─── resnet, mmod ─────────────────┬─ graph (ONNX)
        │                    └─ dlib_trees ─ five_points ─ npz             │
        ├─ mtcnn ──────────────────────────────────────────────────────────┤
        └─ human_models ─ tfjs_format ─ tfjs ─ tfjs_operators, tfjs_builder┘
    originals, human_reference, tfjs_reference ── golden, compare
                                 what dlib, PyTorch and the graphs say to the same pictures
"""

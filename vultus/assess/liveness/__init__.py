"""Is this a living face, or a picture of one? Passive models and what their scores mean."""

from vultus.assess.liveness.calibration import (
    DEFAULT_POLICY,
    LivenessCalibration,
    load_liveness_calibration,
    shipped_liveness_calibration,
)
from vultus.assess.liveness.nets import LivenessNet
from vultus.assess.liveness.passive import PassiveLiveness, installed_liveness

__all__ = [
    "DEFAULT_POLICY",
    "LivenessCalibration",
    "LivenessNet",
    "PassiveLiveness",
    "installed_liveness",
    "load_liveness_calibration",
    "shipped_liveness_calibration",
]

"""Is this a living face, or a picture of one? Models and what their scores mean; challenges."""

from vultus.assess.liveness.active import ActiveOutcome, ActiveSession, new_actions, new_code
from vultus.assess.liveness.calibration import (
    DEFAULT_POLICY,
    LivenessCalibration,
    load_liveness_calibration,
    shipped_liveness_calibration,
)
from vultus.assess.liveness.gestures import ACTIONS, Action, Gestures, gestures_of
from vultus.assess.liveness.nets import LivenessNet
from vultus.assess.liveness.own import load_own_liveness
from vultus.assess.liveness.passive import PassiveLiveness, installed_liveness
from vultus.assess.liveness.svm import LivenessSvm, NetSvmLiveness, load_liveness_svm
from vultus.assess.liveness.texture import TextureLiveness

__all__ = [
    "ACTIONS",
    "DEFAULT_POLICY",
    "Action",
    "ActiveOutcome",
    "ActiveSession",
    "Gestures",
    "LivenessCalibration",
    "LivenessNet",
    "LivenessSvm",
    "NetSvmLiveness",
    "PassiveLiveness",
    "TextureLiveness",
    "gestures_of",
    "installed_liveness",
    "load_liveness_calibration",
    "load_liveness_svm",
    "load_own_liveness",
    "new_actions",
    "new_code",
    "shipped_liveness_calibration",
]

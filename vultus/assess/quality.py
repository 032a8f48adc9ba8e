"""All measures of a face picture, and one score that says how well it will be recognised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from vultus.assess._aligned import face_crop
from vultus.assess.geometry import completeness, face_px, inter_eye_px
from vultus.assess.illumination import contrast, illumination
from vultus.assess.occlusion import occlusion
from vultus.assess.pose import PoseEstimator
from vultus.assess.sharpness import blur, noise
from vultus.types import Face, Occlusion, Quality

__all__ = ["QualityAssessor", "fused_score"]

# The logit of "a genuine pair matches" is _BASE less what either picture costs. Fitted by logistic
# regression, costs held at 0 or above, on the genuine pairs of the LFW people of pairsDevTrain
# (2,209 pairs as they are; as many in weight with one or both pictures blurred, shaken, shrunk,
# darkened, overexposed, faded, noisy, recompressed or partly covered); a match is a similarity of
# `dlib-resnet-v1` (mirror mean) from its threshold of FMR 1e-3 on these people, 0.929. Darkness,
# the detector's score, the size in pixels (beyond the blur it makes) and, within the ±30° of LFW,
# yaw were given no weight by the fit or added nothing on other people. docs/quality.md has the
# error-versus-discard curve on the people of pairsDevTest.
_BASE = 5.63
_BLUR, _OCCLUSION, _NOISE, _BRIGHT, _FLAT, _CUT = 5.74, 5.86, 2.60, 1.28, 0.42, 1.04
# Where costs begin and end: noise in luma above that of usual pictures, luma of overexposed
# faces, contrast of faded ones.
_NOISE_FROM, _NOISE_SPAN = 1.0, 10.0
_NOISE_MOST = 1.2
_BRIGHT_FROM = 170.0
_FLAT_BELOW = 0.2
# Mean over the parts of a face whose occlusion was not measured: the median of LFW.
_USUAL_OCCLUSION = 0.061


class QualityAssessor:
    """Measures faces. Knows no embedder; safe to call from many threads at once.

    Args:
        pose: Tells how heads are turned; without one `Quality.pose` is ``None``.
    """

    def __init__(self, pose: PoseEstimator | None = None) -> None:
        self._pose = pose

    def assess(self, faces: Sequence[Face]) -> list[Quality]:
        """Measure all faces of a picture, or of several.

        Args:
            faces: With five points or without; without them, nothing is said about occlusion and
                the distance between the eyes.

        Returns:
            One quality per face, in order.

        Raises:
            DegenerateLandmarksError: The landmarks of a face coincide.
        """
        found = [_measure(face) for face in faces]
        if self._pose is None or not found:
            return found
        poses = self._pose.estimate(faces)
        return [replace(quality, pose=pose) for quality, pose in zip(found, poses, strict=True)]


def fused_score(
    *,
    blur: float,
    noise: float,
    illumination: float,
    contrast: float,
    completeness: float,
    occlusion: Occlusion | None,
) -> float:
    """How well recognition can be expected to work, 0 hopeless to 1 perfect.

    The probability that two pictures of this quality of one person are matched at FMR 1e-3, as
    fitted for the default embedder: ``1 / (1 + exp(-(5.63 - 2 cost)))`` with

    ``cost = 5.74 blur + 5.86 occlusion + 2.60 noise + 1.28 bright + 0.42 flat + 1.04 cut``

    where `occlusion` is the mean over the parts, `noise` how far the grain exceeds 1 luma, in
    tens, `bright` how far the luma exceeds 170, as a part of 85, `flat` how far the contrast falls
    below 0.2, as a part of it, and `cut` the part of the face outside the picture.

    Args:
        blur: Of `sharpness.blur`.
        noise: Of `sharpness.noise`.
        illumination: Of `illumination.illumination`.
        contrast: Of `illumination.contrast`.
        completeness: Of `geometry.completeness`.
        occlusion: ``None`` counts as that of a usual picture.
    """
    covered = _USUAL_OCCLUSION if occlusion is None else _mean_of(occlusion)
    cost = (
        _BLUR * blur
        + _OCCLUSION * covered
        + _NOISE * min(max((noise - _NOISE_FROM) / _NOISE_SPAN, 0.0), _NOISE_MOST)
        + _BRIGHT * max((illumination - _BRIGHT_FROM) / (255.0 - _BRIGHT_FROM), 0.0)
        + _FLAT * max((_FLAT_BELOW - contrast) / _FLAT_BELOW, 0.0)
        + _CUT * (1.0 - completeness)
    )
    return 1.0 / (1.0 + math.exp(-(_BASE - 2.0 * cost)))


def _measure(face: Face) -> Quality:
    crop = face_crop(face)
    smeared, light, range_ = blur(crop), illumination(crop), contrast(crop)
    inside = completeness(face)
    covered = None if face.landmarks is None else occlusion(crop)
    score = fused_score(
        blur=smeared,
        noise=noise(crop),
        illumination=light,
        contrast=range_,
        completeness=inside,
        occlusion=covered,
    )
    return Quality(
        score=score,
        blur=smeared,
        illumination=light,
        contrast=range_,
        face_px=face_px(face),
        inter_eye_px=inter_eye_px(face),
        completeness=inside,
        occlusion=covered,
    )


def _mean_of(parts: Occlusion) -> float:
    return (
        parts.left_eye
        + parts.right_eye
        + parts.nose
        + parts.mouth
        + parts.left_cheek
        + parts.right_cheek
        + parts.chin
    ) / 7.0

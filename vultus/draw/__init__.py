"""Pictures for people to look at: marked faces, contact sheets, files written in one step."""

from vultus.draw.blur import HidingStyle, hide_faces
from vultus.draw.landmarks import PointMark, draw_points
from vultus.draw.marks import KNOWN, NEUTRAL, UNKNOWN, Color, Mark, annotate, person_color
from vultus.draw.sheet import contact_sheet
from vultus.draw.write import MADE_BY, write_image

__all__ = [
    "KNOWN",
    "MADE_BY",
    "NEUTRAL",
    "UNKNOWN",
    "Color",
    "HidingStyle",
    "Mark",
    "PointMark",
    "annotate",
    "contact_sheet",
    "draw_points",
    "hide_faces",
    "person_color",
    "write_image",
]

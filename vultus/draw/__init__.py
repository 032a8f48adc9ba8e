"""Pictures for people to look at: marked faces, contact sheets, files written in one step."""

from vultus.draw.marks import KNOWN, NEUTRAL, UNKNOWN, Color, Mark, annotate, person_color
from vultus.draw.sheet import contact_sheet
from vultus.draw.write import MADE_BY, write_image

__all__ = [
    "KNOWN",
    "MADE_BY",
    "NEUTRAL",
    "UNKNOWN",
    "Color",
    "Mark",
    "annotate",
    "contact_sheet",
    "person_color",
    "write_image",
]

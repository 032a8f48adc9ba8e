"""What other systems stored about people, brought into a gallery; see `docs/migrating.md`."""

from vultus.compat.importers.gallery import Outcome, add_people
from vultus.compat.importers.people import ForeignFace, ForeignPeople, Left
from vultus.compat.importers.read import FORMATS, PERSON_FROM, read_people

__all__ = [
    "FORMATS",
    "PERSON_FROM",
    "ForeignFace",
    "ForeignPeople",
    "Left",
    "Outcome",
    "add_people",
    "read_people",
]

"""face_recognition 1.3.0 on vultus: change the import, keep the code.

``import vultus.compat.face_recognition as face_recognition``, or install a package of that name
with ``vultus compat install-shim``. What differs from the original, ``docs/migrating.md`` lists.
"""

from vultus.compat.face_recognition.api import (
    batch_face_locations,
    compare_faces,
    face_distance,
    face_encodings,
    face_landmarks,
    face_locations,
    load_image_file,
)

__all__ = [
    "batch_face_locations",
    "compare_faces",
    "face_distance",
    "face_encodings",
    "face_landmarks",
    "face_locations",
    "load_image_file",
]

__version__ = "1.2.3"
"""What release 1.3.0 calls itself."""

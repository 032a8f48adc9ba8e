from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vultus.errors import EmptyGalleryError
from vultus.evaluate.enrolled import enrolled_faces
from vultus.gallery import MemoryGallery, NewSample
from vultus.types import Embedding, EmbeddingSpace

SPACE = EmbeddingSpace("test", "0" * 64, 4, "none")
OTHER = EmbeddingSpace("other", "1" * 64, 4, "none")


def unit(axis: int, space: EmbeddingSpace = SPACE) -> Embedding:
    return Embedding(np.eye(4, dtype=np.float32)[axis], space)


def test_faces_in_the_order_of_their_numbers():
    with MemoryGallery() as gallery:
        gallery.add_many(
            [
                NewSample("b", unit(0), "d0", "b/1.jpg", quality={"score": 0.25}),
                NewSample("a", unit(1), "d1"),
            ]
        )
        gallery.add_space(OTHER)
        gallery.put_embeddings(OTHER, [(1, unit(3, OTHER))])
        found = enrolled_faces(gallery)
    assert found.people == ("b", "a")
    assert found.names == (Path("b/1.jpg"), Path("sample 2"))
    assert found.embedded.digests == ("d0", "d1")
    assert found.embedded.space == SPACE
    np.testing.assert_array_equal(found.embedded.vectors, np.eye(4, dtype=np.float32)[:2])
    np.testing.assert_array_equal(found.quality, [0.25, np.nan])


def test_nobody_enrolled():
    with MemoryGallery() as gallery, pytest.raises(EmptyGalleryError, match="nobody is enrolled"):
        enrolled_faces(gallery)

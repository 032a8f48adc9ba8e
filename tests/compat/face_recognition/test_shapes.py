from __future__ import annotations

import numpy as np

from vultus.compat.face_recognition._shapes import FullObjectDetection, Point, Rectangle


def test_rectangle():
    rect = Rectangle(2, 3, 5, 7)
    assert (rect.left(), rect.top(), rect.right(), rect.bottom()) == (2, 3, 5, 7)
    assert (rect.width(), rect.height(), rect.area()) == (4, 5, 20)
    assert (rect.center(), rect.tl_corner(), rect.br_corner()) == (
        Point(4, 5),
        Point(2, 3),
        Point(5, 7),
    )
    assert (str(rect), repr(rect)) == ("[(2, 3) (5, 7)]", "rectangle(2,3,5,7)")
    assert rect == Rectangle(2, 3, 5, 7)
    assert rect != (2, 3, 5, 7)
    assert len({rect, Rectangle(2, 3, 5, 7)}) == 1


def test_an_empty_rectangle():
    rect = Rectangle(5, 0, 4, 9)
    assert rect.is_empty()
    assert (rect.width(), rect.height(), rect.area()) == (0, 0, 0)


def test_points_are_rounded_as_dlib_does():
    found = FullObjectDetection.of(
        Rectangle(0, 0, 9, 9), np.array([[0.5, 1.49], [-0.5, -0.51]], np.float32)
    )
    assert found.parts() == [Point(1, 1), Point(0, -1)]
    assert (str(found.part(0)), repr(found.part(1))) == ("(1, 1)", "point(0, -1)")
    assert found.num_parts == 2

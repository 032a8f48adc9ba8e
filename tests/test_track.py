from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import RangeError
from vultus.track import (
    Observation,
    Tracks,
    TrackSettings,
    after_cut,
    associate,
    predicted,
    unclear,
)
from vultus.types import Box

pytest.importorskip("scipy", reason="install SciPy: pip install 'vultus[video]'")

ANN, BOB = np.eye(4, dtype=np.float32)[0], np.eye(4, dtype=np.float32)[1]
LOOKS = TrackSettings(same=0.8, different=0.3)


def at(x, y=100.0, side=40.0, score=0.99, look=None):
    return Observation(Box(x, y, x + side, y + side), score, look)


def run(frames, settings=None, fps=25.0):
    """The numbers of each frame's observations."""
    tracks, told = Tracks(), []
    for index, observations in enumerate(frames):
        step = associate(tracks, observations, index / fps, settings)
        tracks = step.tracks
        told.append(step.numbers)
    return told, tracks


def test_nobody_is_no_track():
    step = associate(Tracks(), [], 0.0)
    assert step.numbers == ()
    assert step.tracks.alive == ()


def test_one_face_that_walks_keeps_its_number():
    told, tracks = run([[at(5.0 * i)] for i in range(30)])
    assert set(told) == {(1,)}
    assert tracks.alive[0].hits == 30
    # 5 px a frame at 25 frames a second
    assert tracks.alive[0].state[0, 1] == pytest.approx(125.0, rel=0.02)


def test_the_model_predicts_where_somebody_will_be():
    _, tracks = run([[at(5.0 * i)] for i in range(30)])
    box = predicted(tracks, 29 / 25 + 0.2).alive[0].box
    assert box.center_xy[0] == pytest.approx(5.0 * 34 + 20, abs=1.5)


def test_a_variable_frame_rate_is_a_matter_of_time_only():
    tracks = Tracks()
    for time_s in (0.0, 0.02, 0.1, 0.11, 0.3, 0.34, 0.5):
        step = associate(tracks, [at(100.0 * time_s)], time_s)
        tracks = step.tracks
        assert step.numbers == (1,)


def test_two_who_cross_keep_their_numbers_by_motion():
    frames = [[at(6.0 * i, 100), at(300 - 6.0 * i, 128)] for i in range(45)]
    told, _ = run(frames)
    assert set(told) == {(1, 2)}


def test_two_who_cross_on_one_line_keep_their_numbers_by_their_looks():
    frames = [[at(6.0 * i, look=ANN), at(240 - 6.0 * i, look=BOB)] for i in range(40)]
    told, _ = run(frames, LOOKS)
    assert set(told) == {(1, 2)}


def test_somebody_hidden_for_half_a_second_is_the_same():
    frames = [[at(4.0 * i)] if not 20 <= i < 32 else [] for i in range(60)]
    told, _ = run(frames)
    assert {numbers for numbers in told if numbers} == {(1,)}


def test_somebody_who_left_is_given_up_and_their_number_is_not_used_again():
    tracks = run([[at(0.0)]] * 5)[1]
    step = associate(tracks, [at(0.0)], 4 / 25 + 2.5)
    assert step.ended == (1,)
    assert step.begun == step.numbers == (2,)


def test_somebody_who_comes_back_elsewhere_is_known_by_their_look():
    frames = [[at(0.0, look=ANN)]] * 5 + [[]] * 10 + [[at(400.0, look=ANN)]] * 3
    assert run(frames, LOOKS)[0][-1] == (1,)
    assert run(frames, TrackSettings())[0][-1] == (2,)


def test_a_track_does_not_pass_to_another_face_in_the_same_place():
    frames = [[at(0.0, look=ANN)]] * 5 + [[at(0.0, look=BOB)]] * 5
    assert run(frames, LOOKS)[0][-1] == (2,)
    assert run(frames, TrackSettings())[0][-1] == (1,)


def test_two_boxes_that_merge_and_split_keep_their_numbers():
    apart = [[at(0.0, look=ANN), at(50.0, look=BOB)]] * 5
    merged = [[at(25.0, side=60.0)]] * 6
    told, _ = run(apart + merged + apart, LOOKS)
    assert told[0] == told[-1] == (1, 2)
    assert all(len(numbers) == 1 for numbers in told[5:11])


def test_a_low_score_keeps_a_track_alive_and_begins_none():
    assert run([[at(0.0)]] * 3 + [[at(1.0, score=0.3)]] * 3)[0][-1] == (1,)
    assert run([[at(0.0, score=0.3)]] * 3)[0][-1] == (None,)


def test_a_low_score_does_not_take_a_track_from_a_high_one():
    told, _ = run([[at(0.0)]] * 3 + [[at(0.0, score=0.3), at(2.0)]])
    assert told[-1] == (None, 1)


def test_after_a_cut_place_says_nothing_and_looks_do():
    tracks = run([[at(0.0, look=ANN)]] * 5, LOOKS)[1]
    cut = after_cut(tracks)
    assert associate(cut, [at(0.0, look=BOB)], 0.2, LOOKS).numbers == (2,)
    assert associate(cut, [at(0.0)], 0.2, LOOKS).numbers == (2,)
    found = associate(cut, [at(300.0, look=ANN)], 0.2, LOOKS)
    assert found.numbers == (1,)
    assert found.tracks.alive[0].box.center_xy == (320.0, 120.0)


def test_only_what_position_leaves_open_needs_a_look():
    tracks = run([[at(0.0), at(200.0)]] * 5)[1]
    later = predicted(tracks, 0.2)
    assert unclear(later, [at(1.0), at(199.0)], LOOKS) == ()
    assert unclear(later, [at(1.0), at(400.0)], LOOKS) == (1,)  # fits nobody
    assert unclear(later, [at(1.0), at(20.0)], LOOKS) == (0, 1)  # rivals
    assert unclear(after_cut(later), [at(1.0)], LOOKS) == (0,)


@pytest.mark.parametrize("time_s", [-1.0, float("nan"), float("inf")])
def test_time_does_not_run_backwards(time_s):
    with pytest.raises(RangeError, match="must not run backwards"):
        associate(Tracks((), 1, 0.5), [], time_s)


@pytest.mark.parametrize(
    "values",
    [{"first_iou": 1.5}, {"lost_s": -1.0}, {"same": 2.0}, {"same": 0.2, "different": 0.5}],
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(RangeError):
        TrackSettings(**values)


_box = st.tuples(
    st.floats(-50, 600), st.floats(-50, 400), st.floats(1, 200), st.floats(0, 1), st.integers(0, 4)
)
_frames = st.lists(st.lists(_box, max_size=5), max_size=8)


def _frame(rows):
    eye = np.eye(4, dtype=np.float32)
    return [at(x, y, side, score, eye[who] if who < 4 else None) for x, y, side, score, who in rows]


@given(_frames)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_numbers_are_unique_rise_and_are_the_same_every_time(rows):
    frames = [_frame(each) for each in rows]
    tracks, highest, ended = Tracks(), 0, set()
    for index, observations in enumerate(frames):
        step = associate(tracks, observations, index * 0.3, LOOKS)
        again = associate(tracks, observations, index * 0.3, LOOKS)
        assert step.numbers == again.numbers
        given_ = [number for number in step.numbers if number is not None]
        assert len(given_) == len(set(given_))
        assert not ended & set(given_)
        for seen, number in zip(observations, step.numbers, strict=True):
            assert number is not None or seen.score < LOOKS.high_score
        assert all(number > highest for number in step.begun)
        highest = max([highest, *step.begun])
        ended |= set(step.ended)
        alive = {track.number for track in step.tracks.alive}
        assert alive == ({t.number for t in tracks.alive} | set(step.begun)) - set(step.ended)
        for track in step.tracks.alive:
            assert np.isfinite(track.state).all()
            assert (track.spread[:, 0] > 0).all()
            assert track.box.area_px > 0
        tracks = step.tracks

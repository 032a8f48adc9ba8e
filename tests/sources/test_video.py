from __future__ import annotations

import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image as Pillow

from vultus.errors import (
    MissingExtraError,
    NoVideoStreamError,
    OutputError,
    RangeError,
    ShapeError,
    VideoDamagedError,
    VideoFormatError,
    VideoNotFoundError,
    VideoTooLargeError,
    VideoTooSmallError,
)
from vultus.sources._av import shrunk
from vultus.sources.frames import Ending, VideoFrame, VideoLimits
from vultus.sources.recording import VideoWriter
from vultus.sources.video import VideoFile, open_video
from vultus.types import Frame

av = pytest.importorskip("av", reason="install PyAV: pip install 'vultus[video]'")


def picture(index, size_wh=(128, 72)):
    """Left blue, top red, and a grey that tells the frame."""
    wide, high = size_wh
    image = np.full((high, wide, 3), 20 + 2 * index, np.uint8)
    image[: high // 4] = (250, 10, 10)
    image[:, : wide // 8] = (10, 10, 250)
    return image


def written(path, times, size_wh=(128, 72)):
    with VideoWriter(path, fps=25.0, threads=1) as writer:
        for index, time_s in enumerate(times):
            writer.write(picture(index, size_wh), time_s)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """50 frames at 25 a second."""
    return written(tmp_path_factory.mktemp("film") / "film.mp4", [i / 25 for i in range(50)])


@pytest.fixture(scope="module")
def front_film(film):
    """The same with its index in front, so that what is cut off is pictures."""
    path = film.with_name("front.mp4")
    with (
        av.open(str(film)) as old,
        av.open(str(path), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def raw(path, size_wh, count=3):
    """Uncompressed, so that any size is fast."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if path.suffix == ".mp4" else "ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size_wh, "yuv420p"
        for index in range(count):
            frame = av.VideoFrame(*size_wh, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_every_frame_with_its_time_and_number(film):
    with open_video(film) as video:
        assert (video.info.width_px, video.info.height_px) == (128, 72)
        assert (video.info.fps, video.info.frames, video.info.live) == (25.0, 50, False)
        assert video.ending is None
        frames = list(video.read())
        assert video.ending == Ending(50, pytest.approx(2.0), None)
    assert [frame.number for frame in frames] == list(range(50))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 25 for i in range(50)])
    assert {round(frame.duration_s, 6) for frame in frames} == {0.04}
    for index in (0, 20, 49):
        seen = frames[index].frame.image
        assert seen.shape == (72, 128, 3)
        np.testing.assert_allclose(seen[60, 100], 20 + 2 * index, atol=4)
        np.testing.assert_allclose(seen[4, 100], (250, 10, 10), atol=12)
        np.testing.assert_allclose(seen[60, 5], (10, 10, 250), atol=12)


def test_it_can_be_read_again_and_in_steps(film):
    with open_video(film) as video:
        assert [frame.number for frame in video.read(every=20)] == [0, 20, 40]
        assert video.ending.frames == 50
        assert len(list(video.read())) == 50


def test_a_variable_frame_rate_keeps_its_times(tmp_path):
    times = [0.0, 0.04, 0.5, 0.52, 1.9]
    with open_video(written(tmp_path / "v.mp4", times)) as video:
        frames = list(video.read())
    assert [frame.time_s for frame in frames] == pytest.approx(times, abs=1e-4)
    assert [frame.duration_s for frame in frames[:4]] == pytest.approx(np.diff(times), abs=1e-4)


def _rotated(film, path, matrix):
    """The same file with another display matrix in its track header (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(film.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    data[at : at + 24] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((0, 1, 0, -1, 0, 0), -1), ((0, -1, 0, 1, 0, 0), 1), ((-1, 0, 0, 0, -1, 0), 2)],
)
def test_pictures_are_turned_upright(film, tmp_path, matrix, turns):
    path = _rotated(film, tmp_path / "turned.mp4", [value * 0x10000 for value in matrix])
    with open_video(film) as video, open_video(path) as turned:
        plain = next(iter(video.read())).frame.image
        shown = next(iter(turned.read())).frame.image
        assert (turned.info.width_px, turned.info.height_px) == shown.shape[1::-1]
    np.testing.assert_array_equal(shown, np.rot90(plain, turns))


def test_a_file_that_is_cut_short_tells_what_is_missing(front_film, tmp_path):
    cut = tmp_path / "cut.mp4"
    data = front_film.read_bytes()
    cut.write_bytes(data[: len(data) * 3 // 4])
    with open_video(cut) as video:
        frames = list(video.read())
        assert 0 < len(frames) < 50
        missing = video.ending.missing
    assert missing.reason.startswith("the file says it has 50 frames, it ends after")
    assert missing.frames == 50 - len(frames)


def test_a_file_without_its_index_is_told(film, tmp_path):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(film.read_bytes()[:1500])
    with pytest.raises((VideoFormatError, NoVideoStreamError, VideoDamagedError)):
        open_video(cut)


def test_a_length_that_lies_is_told_and_not_believed(film, tmp_path):
    data = bytearray(film.read_bytes())
    for box in (b"mvhd", b"mdhd"):  # version 0: times and time scale before the duration
        at = data.index(box) + 4 + 4 + 12
        data[at : at + 4] = (2**31 - 1).to_bytes(4, "big")
    path = tmp_path / "lie.mp4"
    path.write_bytes(data)
    with open_video(path) as video:
        assert len(list(video.read())) == 50
        assert video.ending.duration_s == pytest.approx(2.0)


def test_damage_in_the_midst_leaves_frames_out_and_says_so(front_film, tmp_path):
    data = bytearray(front_film.read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 300] = bytes(300)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with open_video(path, threads=1) as video:
        frames = list(video.read())
        gaps = [frame.gap for frame in frames if frame.gap]
        told = sum(gap.frames for gap in gaps) + (
            video.ending.missing.frames if video.ending.missing else 0
        )
    assert len(frames) < 50
    assert len(frames) + told == 50


@pytest.mark.parametrize("content", [b"", b"hello", b"#EXTM3U\n#EXTINF:3,\n/etc/passwd\n"])
def test_what_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoFormatError, match="must be a video file"):
        open_video(path)


def test_playlists_that_name_other_files_are_refused(film, tmp_path):
    path = tmp_path / "list.ffconcat"
    path.write_text(f"ffconcat version 1.0\nfile '{film}'\n")
    with pytest.raises(VideoFormatError):
        open_video(path)


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(VideoNotFoundError, match="No such file"):
        open_video(tmp_path / "none.mp4")
    with pytest.raises(VideoNotFoundError, match="must be a regular file"):
        open_video(tmp_path)


def test_sound_only_is_no_video(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(NoVideoStreamError, match="must have a video stream"):
        open_video(path)


def test_frames_of_one_pixel_are_refused(tmp_path):
    with pytest.raises(VideoTooSmallError, match="at least 16 px wide and high"):
        open_video(raw(tmp_path / "dot.avi", (2, 2)))


def test_8k_is_refused_or_shrunk(tmp_path):
    path = raw(tmp_path / "8k.mp4", (7680, 4320), count=1)
    with pytest.raises(VideoTooLargeError, match="7680 × 4320"):
        open_video(path)
    with open_video(path, limits=VideoLimits(max_side_px=640)) as video:
        assert (video.info.width_px, video.info.height_px) == (640, 360)
        assert next(iter(video.read())).frame.image.shape == (360, 640, 3)


def test_a_stream_without_times_needs_no_rate_of_the_callers(film, tmp_path):
    path = tmp_path / "bare.h264"
    with av.open(str(film)) as old, av.open(str(path), "w", format="h264") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    with open_video(path, fps=10.0) as video:
        frames = list(video.read())
    assert len(frames) == 50
    assert all(b.time_s > a.time_s for a, b in pairwise(frames))


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), 1e9])
def test_a_rate_of_zero_is_refused(film, fps):
    with pytest.raises(RangeError, match="frames per second"):
        open_video(film, fps=fps)
    with pytest.raises(RangeError, match="every must be at least 1"):
        open_video(film).read(0)


def test_pictures_in_a_row_are_a_video(tmp_path):
    for number in (3, 4, 6, 7):
        Pillow.fromarray(picture(number)).save(tmp_path / f"img_{number:02d}.png")
    (tmp_path / "img_5.png").write_bytes(b"not padded, not part of it")
    (tmp_path / "img_07x.png").write_bytes(b"no number")
    with open_video(tmp_path / "img_%02d.png", fps=10.0) as video:
        assert (video.info.frames, video.info.fps) == (5, 10.0)
        frames = list(video.read())
        assert video.ending == Ending(5, 0.5)
    assert [frame.number for frame in frames] == [0, 1, 3, 4]
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.3, 0.4])
    assert [frame.gap.frames if frame.gap else 0 for frame in frames] == [0, 0, 1, 0]
    np.testing.assert_array_equal(frames[2].frame.image, picture(6))


def test_a_picture_that_cannot_be_read_leaves_a_gap(tmp_path):
    for number in range(4):
        Pillow.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(b"broken")
    (tmp_path / "3.png").write_bytes(b"broken")
    with open_video(tmp_path / "%d.png") as video:
        frames = list(video.read())
        assert [frame.number for frame in frames] == [0, 2]
        assert frames[1].gap.frames == 1
        assert video.ending.missing.frames == 1


def test_no_picture_fits_the_pattern(tmp_path):
    with pytest.raises(VideoNotFoundError, match="no picture fits"):
        open_video(tmp_path / "img_%02d.jpg")
    with pytest.raises(VideoNotFoundError, match="one %d"):
        open_video(tmp_path / "a%d_%d.jpg")


@pytest.mark.parametrize(
    ("size_wh", "most", "expected"),
    [
        ((640, 360), None, (640, 360)),
        ((640, 360), 640, (640, 360)),
        ((640, 360), 320, (320, 180)),
        ((100, 1000), 50, (5, 50)),
        ((1, 1000), 32, (1, 32)),
    ],
)
def test_shrunk(size_wh, most, expected):
    assert shrunk(*size_wh, most) == expected


@pytest.mark.parametrize("values", [{"time_s": -1.0}, {"number": -1}, {"time_s": float("nan")}])
def test_a_frame_has_a_time(values):
    frame = Frame(np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(RangeError):
        VideoFrame(**{"frame": frame, "time_s": 0.0, "number": 0, **values})


def test_limits_are_sound():
    with pytest.raises(RangeError):
        VideoLimits(max_pixels=0)
    with pytest.raises(RangeError):
        VideoLimits(max_side_px=8)


def test_without_pyav_the_extra_is_named(film, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"vultus\[video\]"):
        VideoFile(film)


# -- writing --------------------------------------------------------------------------------------


def test_sides_of_odd_length_get_one_more(tmp_path):
    with open_video(written(tmp_path / "odd.mp4", [0.0, 0.04], (127, 71))) as video:
        assert (video.info.width_px, video.info.height_px) == (128, 72)


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"before")

    def write():
        with VideoWriter(path, fps=25.0) as writer:
            writer.write(picture(0), 0.0)
            writer.write(picture(0, (64, 64)), 0.04)

    with pytest.raises(ShapeError, match="must be"):
        write()
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.mp4"]


def test_no_frame_no_file(tmp_path):
    with VideoWriter(tmp_path / "film.mp4", fps=25.0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_writer_needs_a_rate_and_a_name(tmp_path):
    with pytest.raises(RangeError):
        VideoWriter(tmp_path / "a.mp4", fps=0.0)
    with pytest.raises(OutputError, match=r"must end in \.mp4"):
        VideoWriter(tmp_path / "a.txt", fps=25.0)
    writer = VideoWriter(tmp_path / "a.mp4", fps=25.0)
    writer.discard()
    with pytest.raises(OutputError, match="closed already"):
        writer.write(picture(0), 0.0)

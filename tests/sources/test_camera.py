from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image as Pillow

from vultus.errors import CameraError, CameraLostError, RangeError
from vultus.sources.camera import Camera, Reconnect

pytest.importorskip("av", reason="install PyAV: pip install 'vultus[video]'")

QUICK = Reconnect(first_s=0.05, most_s=0.2)


def jpeg(value):
    data = io.BytesIO()
    Pillow.fromarray(np.full((48, 64, 3), value, np.uint8)).save(data, "JPEG")
    return data.getvalue()


class Mjpeg(ThreadingHTTPServer):
    """A camera that sends JPEGs one after the other, `limit` per connection."""

    daemon_threads = True
    limit, pause_s, silent, count, visits = 10**9, 0.02, False, 0, 0
    refuses = garbage = False


class Handler(BaseHTTPRequestHandler):
    server: Mjpeg

    def do_GET(self):
        self.server.visits += 1
        if self.server.refuses:
            self.send_error(401)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(OSError):
            if self.server.garbage:
                self.wfile.write(b"\x00garbage\xff" * 5000)
                return
            for index in range(self.server.limit):
                while self.server.silent and index > 3:
                    time.sleep(0.05)
                data = jpeg(self.server.count % 250)
                self.server.count += 1
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(self.server.pause_s)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Mjpeg(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.limit, running.silent = 0, False
        running.shutdown()


def address(server):
    return f"http://admin:geheim@127.0.0.1:{server.server_address[1]}/video"


def taken(camera, count):
    frames = []
    for frame in camera.read():
        frames.append(frame)
        if len(frames) == count:
            return frames
    return frames


def test_frames_come_as_they_happen(server):
    with Camera(address(server)) as camera:
        assert camera.info.live
        assert (camera.info.width_px, camera.info.height_px) == (64, 48)
        assert "geheim" not in camera.info.label
        frames = taken(camera, 5)
    assert [frame.frame.image.shape for frame in frames] == [(48, 64, 3)] * 5
    times = [frame.time_s for frame in frames]
    numbers = [frame.number for frame in frames]
    assert times == sorted(set(times))
    assert numbers == sorted(set(numbers))


def test_a_slow_consumer_gets_the_newest_frame(server):
    with Camera(address(server)) as camera:
        reader = camera.read()
        first = next(reader)
        time.sleep(0.6)
        sent = server.count
        next(reader)
        second = next(reader)
        assert second.number > first.number + 3
        # two in the decoder's and the sockets' hands, one on its way
        assert abs(int(second.frame.image[0, 0, 0]) - sent) <= 6


def test_a_camera_that_ends_the_stream_is_opened_again(server):
    server.limit = 12
    with Camera(address(server), reconnect=QUICK) as camera:
        gaps = [frame.gap.reason for frame in taken(camera, 40) if frame.gap]
    assert server.visits >= 2
    assert any("back after" in reason for reason in gaps)


def test_silence_is_a_failure(server):
    server.silent = True
    with Camera(address(server), reconnect=QUICK, stall_s=0.5) as camera:
        found = []
        for frame in camera.read():
            found.append(frame)
            if frame.gap and "back after" in frame.gap.reason:
                break
    assert server.visits >= 2
    assert "connection lost" in found[-1].gap.reason


def test_a_camera_that_stays_away_is_given_up(server):
    server.limit = 12
    rule = Reconnect(first_s=0.05, most_s=0.1, limit_s=0.4)
    with Camera(address(server), reconnect=rule, stall_s=1.0) as camera:
        server.shutdown()
        server.socket.close()
        with pytest.raises(CameraLostError, match="has been away for") as told:
            taken(camera, 10_000)
    assert "geheim" not in str(told.value)


def test_no_camera_and_no_password_in_the_message():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CameraError, match="cannot be opened") as told:
        Camera(f"http://admin:geheim@127.0.0.1:{port}/video", stall_s=1.0)
    assert "geheim" not in str(told.value)
    assert told.value.__cause__ is None


@pytest.mark.parametrize("fault", ["refuses", "garbage"])
def test_a_wrong_password_and_garbage_are_told(server, fault):
    setattr(server, fault, True)
    with pytest.raises(CameraError) as told:
        Camera(address(server), stall_s=1.0)
    assert "geheim" not in str(told.value)
    assert fault != "refuses" or "401" in str(told.value)


def test_closing_leaves_no_thread(server):
    camera = Camera(address(server))
    taken(camera, 2)
    camera.close()
    camera.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("camera")]
    assert list(camera.read()) == []


def test_waits_double_up_to_the_longest_and_are_cut_at_random():
    rule = Reconnect(first_s=0.5, most_s=4.0)
    assert [rule.wait_s(n, 0.0) for n in range(6)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert rule.wait_s(3, 0.999) == pytest.approx(2.0, abs=0.01)
    assert rule.wait_s(10**9, 0.0) == 4.0


@pytest.mark.parametrize("values", [{"first_s": 0.0}, {"most_s": 0.1}, {"limit_s": -1.0}])
def test_waits_out_of_range_are_refused(values):
    with pytest.raises(RangeError):
        Reconnect(**values)


def test_other_addresses_are_refused():
    with pytest.raises(RangeError, match="begins with rtsp"):
        Camera("file:///etc/passwd")
    with pytest.raises(RangeError, match="stall_s"):
        Camera("rtsp://h/", stall_s=0.0)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import RangeError
from vultus.sources.urls import (
    CameraAddress,
    dahua_url,
    hikvision_url,
    masked,
    parse_camera_url,
)


def test_the_forms_of_two_makers():
    assert (
        hikvision_url("192.168.1.64", "admin", "12345")
        == "rtsp://admin:12345@192.168.1.64:554/h264/ch1/main/av_stream"
    )
    assert (
        dahua_url("cam.local", "admin", "p@ss/1", port=5540, channel=2, subtype=1)
        == "rtsp://admin:p%40ss%2F1@cam.local:5540/cam/realmonitor?channel=2&subtype=1"
    )
    assert hikvision_url("fe80::1", "a", "b", codec="h265", channel=3, subtype=1).endswith(
        "@[fe80::1]:554/h265/ch3/sub/av_stream"
    )


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 65535), st.integers(1, 64))
def test_what_was_built_is_taken_apart_again(user, password, port, channel):
    user, password = (t.encode("utf-8", "ignore").decode() or "x" for t in (user, password))
    for build, make, codec in ((hikvision_url, "hikvision", "h264"), (dahua_url, "dahua", None)):
        url = build("host", user, password, port=port, channel=channel, subtype=1)
        assert parse_camera_url(url) == CameraAddress(
            make, "host", port, user, password, channel, 1, codec
        )


def test_hikvisions_newer_form_and_other_makes():
    found = parse_camera_url("rtsp://a:b@10.0.0.2/Streaming/Channels/302")
    assert (found.make, found.channel, found.subtype, found.port) == ("hikvision", 3, 1, 554)
    assert parse_camera_url("rtsp://a:b@10.0.0.2/live") is None
    assert parse_camera_url("http://10.0.0.2/cam/realmonitor") is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:12345@h:554/x", "rtsp://admin:***@h:554/x"),
        ("rtsp://admin:a@b/c:d@h/x", "rtsp://admin:***@h/x"),
        ("open RTSP://u:p@h failed", "open RTSP://u:***@h failed"),
        ("http://h/v?user=a&pwd=secret&x=1", "http://h/v?user=a&pwd=***&x=1"),
        ("rtsp://h/x", "rtsp://h/x"),
        ("no address", "no address"),
    ],
)
def test_passwords_are_never_shown(text, shown):
    assert masked(text) == shown


def test_an_address_does_not_print_its_password():
    assert "12345" not in repr(parse_camera_url(dahua_url("h", "admin", "12345")))


@pytest.mark.parametrize(
    "values", [{"port": 0}, {"port": 70000}, {"channel": 0}, {"subtype": 3}, {"subtype": -1}]
)
def test_values_out_of_range(values):
    with pytest.raises(RangeError):
        hikvision_url("h", "a", "b", **values)
    with pytest.raises(RangeError):
        dahua_url("h", "a", "b", **values)
    with pytest.raises(RangeError, match="codec"):
        hikvision_url("h", "a", "b", codec="vp9")
    with pytest.raises(RangeError, match="host"):
        dahua_url("a b", "a", "b")


def test_a_port_that_is_none_is_told_without_the_password():
    with pytest.raises(RangeError) as told:
        parse_camera_url("rtsp://admin:geheim@h:99999/cam/realmonitor")
    assert "geheim" not in str(told.value)

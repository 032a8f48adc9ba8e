from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vultus.server.wire.baidu.errors import BaiduError
from vultus.server.wire.baidu.fields import Fields


def refused(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(BaiduError) as caught:
        call()
    return caught.value.number, caught.value.message


def v2(**values: object) -> Fields:
    return Fields(values, "v2")


def v3(**values: object) -> Fields:
    return Fields(values, "v3")


def test_numbers_may_come_as_text_and_text_as_numbers():
    assert v3(group_id=201).group() == "201"
    assert v2(uid=7).user("uid") == "7"
    assert v3(max_face_num="2").whole("max_face_num", 1, high=10) == 2
    assert v3(max_face_num=2.0).whole("max_face_num", 1, high=10) == 2
    assert v3(match_threshold="80.5").number("match_threshold", 0, low=0, high=100) == 80.5
    assert v3(face_sort_type=1).choice("face_sort_type", "0", ("0", "1")) == "1"


def test_above_the_most_the_most_is_taken():
    assert v3(max_face_num=999).whole("max_face_num", 1, high=120) == 120
    assert v3().whole("max_face_num", 1, high=120) == 1
    assert v3(max_face_num="").whole("max_face_num", 1, high=120) == 1


@pytest.mark.parametrize("value", [0, -1, "x", "1e3", "٣", True, [1], {}, 1.5, "9" * 40])
def test_no_whole_number_is_told_by_its_own_code(value: Any):
    told = refused(lambda: v3(max_face_num=value).whole("max_face_num", 1, high=10))
    assert told == (222016, "param[max_face_num] format error")
    assert refused(lambda: v2(num=value).whole("num", 1, high=10)) == (216100, "invalid param")


@pytest.mark.parametrize("value", ["x", "nan", "inf", -0.1, 100.1, True, [], "1" * 400])
def test_no_number_within_bounds(value: Any):
    told = refused(lambda: v3(match_threshold=value).number("match_threshold", 0, low=0, high=100))
    assert told == (222030, "param[match_threshold] format error")


def test_what_is_missing():
    assert refused(lambda: v3().text("image_type")) == (222001, "param[image_type] is null")
    assert refused(lambda: v3(user_id=None).user("user_id")) == (222001, "param[user_id] is null")
    assert refused(lambda: v2().user("uid")) == (216101, "not enough param")
    assert refused(lambda: v2(image="").text("image")) == (216200, "empty image")


@pytest.mark.parametrize(
    "value", ["a b", "../etc/passwd", "a-b", "<b>", "'; DROP", "组", "a\nb", "x" * 129]
)
def test_ids_are_letters_digits_and_underscores(value: str):
    assert refused(lambda: v3(user_id=value).user("user_id"))[0] == 222018
    assert refused(lambda: v3(group_id=value).group()) == (222006, "group_id format error")
    assert refused(lambda: v3(group_id_list=f"a,{value}").groups("group_id_list"))[0] == 222005
    long = len(value) > 128
    expected = (216103, "param too long") if long else (216111, "invalid userid")
    assert refused(lambda: v2(uid=value).user("uid")) == expected


def test_lengths_of_ids():
    assert v3(user_id="u" * 128).user("user_id") == "u" * 128
    assert v3(group_id="g" * 128).group() == "g" * 128
    assert v2(group_id="g" * 48).group() == "g" * 48
    assert refused(lambda: v2(group_id="g" * 49).group()) == (216103, "param too long")


def test_lists_of_groups():
    assert v3(group_id_list=" a, b,a,,").groups("group_id_list") == ["a", "b"]
    assert refused(lambda: v3(group_id_list=",").groups("group_id_list"))[0] == 222005


def test_user_info_has_at_most_256_bytes():
    assert v3().info() is None
    assert v3(user_info="").info() == ""
    assert v3(user_info="总" * 85).info() == "总" * 85
    assert refused(lambda: v3(user_info="总" * 86).info()) == (222010, "user_info format error")
    assert refused(lambda: v2(user_info="x" * 257).info()) == (216103, "param too long")
    assert refused(lambda: v3(user_info="a\x00b").info())[0] == 222010
    assert refused(lambda: v3(user_info="\ud800").info())[0] == 222010
    assert refused(lambda: v3(user_info=["x"]).info())[0] == 222010


def test_words_and_choices():
    assert v3(face_field=" age, ,quality").words("face_field") == {"age", "quality"}
    assert refused(lambda: v3(face_field={"a": 1}).words("face_field"))[0] == 222017
    assert refused(lambda: v3(face_field="a," * 600).words("face_field"))[0] == 222017
    assert v3(quality_control="low").choice("quality_control", "NONE", ("NONE", "LOW")) == "LOW"
    told = refused(lambda: v3(action_type="ADD").choice("action_type", "A", ("A", "B")))
    assert told == (216100, "invalid param")


def test_tokens():
    assert v3(face_token="0" * 32).token() == "0" * 32
    assert v3(face_token="0" * 64).token() == ""  # nobody's
    assert refused(lambda: v3(face_token="0" * 65).token())[0] == 222025
    assert refused(lambda: v3(image="0" * 65).token("image"))[0] == 222013

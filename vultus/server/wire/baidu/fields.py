"""The parameters of a call: numbers may come as text and text as numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from vultus.errors import RangeError
from vultus.gallery._rules import clean_text
from vultus.server.wire.baidu.errors import BaiduError, Dialect, v2, v3

__all__ = ["Fields"]

_WORD = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_TOKEN = re.compile(r"[0-9a-f]{32}")
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_GROUP_MAX_BYTES: Mapping[Dialect, int] = MappingProxyType({"v2": 48, "v3": 128})
_USER_MAX_BYTES = 128
_INFO_MAX_BYTES = 256
_TOKEN_MAX_BYTES = 64
# V3 has a code of its own for most parameters.
_FORMAT_V3: Mapping[str, int] = MappingProxyType(
    {
        "start": 222002,
        "length": 222003,
        "group_id_list": 222005,
        "group_id": 222006,
        "src_group_id": 222006,
        "dst_group_id": 222006,
        "user_info": 222010,
        "image": 222013,
        "image_type": 222015,
        "max_face_num": 222016,
        "face_field": 222017,
        "user_id": 222018,
        "quality_control": 222019,
        "liveness_control": 222020,
        "max_user_num": 222021,
        "id_card_number": 222022,
        "name": 222023,
        "face_type": 222024,
        "face_token": 222025,
        "match_threshold": 222030,
        "face_sort_type": 222039,
        "spoofing_control": 223130,
    }
)


class Fields:
    """Typed access to a call's parameters; what is wrong is told in the call's dialect.

    Args:
        values: As parsed; ``None`` counts as absent.
        dialect: Whose codes are used.
    """

    def __init__(self, values: Mapping[str, object], dialect: Dialect) -> None:
        self._values = values
        self.dialect: Dialect = dialect

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    # -- what is wrong ------------------------------------------------------------------------

    def missing(self, name: str) -> BaiduError:
        """The error for a required parameter that is absent."""
        if self.dialect == "v3":
            return v3(222001, f"param[{name}] is null")
        return v2(216200) if name in {"image", "images"} else v2(216101)

    def malformed(self, name: str) -> BaiduError:
        """The error for a parameter that has no value of its kind."""
        if self.dialect == "v3":
            return v3(_FORMAT_V3.get(name, 216100))
        return v2(216111 if name == "uid" else 216100)

    # -- plain kinds --------------------------------------------------------------------------

    def text(self, name: str, default: str | None = None) -> str:
        """A text, a number being taken as its digits; required unless there is a default."""
        value = self._values.get(name)
        if isinstance(value, bool) or not (value is None or isinstance(value, str | int | float)):
            raise self.malformed(name)
        if value is None or value == "":
            if default is None:
                raise self.missing(name)
            return default
        return value if isinstance(value, str) else str(value)

    def whole(self, name: str, default: int, *, low: int = 1, high: int) -> int:
        """A whole number, also as text; above `high`, `high` is taken."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise self.malformed(name)
        return min(value, high)

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A finite number between two bounds, also as text."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.malformed(name)
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise self.malformed(name) from None
        if not math.isfinite(number) or not low <= number <= high:
            raise self.malformed(name)
        return number

    def choice(self, name: str, default: str, allowed: Collection[str]) -> str:
        """One of several words; capitals or small letters do not matter."""
        text = self.text(name, default).strip()
        found = next((word for word in allowed if word.casefold() == text.casefold()), None)
        if found is None:
            raise self.malformed(name)
        return found

    def words(self, name: str) -> frozenset[str]:
        """Words separated by commas, blanks around them ignored."""
        text = self.text(name, "")
        if len(text) > 1024:
            raise self.malformed(name)
        return frozenset(part.strip() for part in text.split(",") if part.strip())

    # -- the library's own --------------------------------------------------------------------

    def user(self, name: str) -> str:
        """A user's id: 1 to 128 letters, digits and underscores."""
        return self._word(name, self.text(name), _USER_MAX_BYTES)

    def group(self, name: str = "group_id") -> str:
        """A group's id."""
        return self._word(name, self.text(name), _GROUP_MAX_BYTES[self.dialect])

    def groups(self, name: str = "group_id") -> list[str]:
        """Ids of groups separated by commas, each once, in the order given."""
        given = [part.strip() for part in self.text(name).split(",") if part.strip()]
        if not given:
            raise self.malformed(name)
        limit = _GROUP_MAX_BYTES[self.dialect]
        return list(dict.fromkeys(self._word(name, part, limit) for part in given))

    def info(self) -> str | None:
        """What is noted with a user in a group, at most 256 bytes; ``None`` when absent."""
        if "user_info" not in self:
            return None
        text = self.text("user_info", "")
        if len(text.strip().encode("utf-8", "surrogatepass")) > _INFO_MAX_BYTES:
            raise self.malformed("user_info") if self.dialect == "v3" else v2(216103)
        try:
            return clean_text(text, "user_info", _INFO_MAX_BYTES)
        except RangeError as error:  # control characters, which no gallery keeps
            raise self.malformed("user_info") from error

    def token(self, name: str = "face_token") -> str:
        """A face token: 32 hexadecimal digits; others of up to 64 bytes are nobody's."""
        text = self.text(name)
        if len(text.encode("utf-8", "surrogatepass")) > _TOKEN_MAX_BYTES:
            raise self.malformed(name)
        return text if _TOKEN.fullmatch(text) else ""

    def _word(self, name: str, text: str, limit_bytes: int) -> str:
        if not _WORD.fullmatch(text):
            raise self.malformed(name)
        if len(text) > limit_bytes:
            raise v2(216103) if self.dialect == "v2" else self.malformed(name)
        return text

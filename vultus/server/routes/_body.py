"""What a request carries: options and pictures, as multipart or as JSON, one model for both."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import pydantic_core
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from vultus.server.errors import MediaTypeError, RequestError

__all__ = ["ONE", "Pictures", "Received", "Upload", "accepting", "described", "validated"]

M = TypeVar("M", bound=BaseModel)
Fields: TypeAlias = dict[str, Any]

_LARGE_BYTES = 256 * 1024  # parsing more JSON than this would hold up other requests
_MAX_FIELDS = 2048
_JSON, _MULTIPART = "application/json", "multipart/form-data"
_SHOWN_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Pictures:
    """How many pictures a request carries: parts called ``file``, or base64 in JSON.

    Attributes:
        least: At least so many.
        most: At most so many; 1 makes the JSON field ``image``, more make it ``images``.
    """

    least: int = 1
    most: int = 1

    @property
    def key(self) -> str:
        """Name of the JSON field."""
        return "image" if self.most == 1 else "images"


ONE = Pictures()


@dataclass(frozen=True, slots=True)
class Upload:
    """One picture as it came: bytes, or base64 text that a worker decodes.

    Attributes:
        data: The picture.
        name: Of its file, where the client told it.
    """

    data: bytes | str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Received(Generic[M]):
    """What a request carried.

    Attributes:
        options: Its fields.
        pictures: Its pictures, in order.
    """

    options: M
    pictures: tuple[Upload, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the contents; the boundaries of multipart, which change, are none."""
        total = hashlib.sha256(self.options.model_dump_json().encode())
        for picture in self.pictures:
            data = picture.data
            whole = data if isinstance(data, bytes) else data.encode("utf-8", "replace")
            total.update(hashlib.sha256(whole).digest() + repr(picture.name).encode())
        return total.hexdigest()


def accepting(
    model: type[M], pictures: Pictures | None = None
) -> Callable[[Request], Awaitable[Received[M]]]:
    """A dependency that reads a request's body, whichever of the two forms it has."""

    async def receive(request: Request) -> Received[M]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == _MULTIPART and pictures is not None:
            return await _from_form(request, model, pictures)
        if kind == _JSON or kind.endswith("+json") or (not kind and not await request.body()):
            return await _from_json(request, model, pictures)
        forms = f"{_JSON} or {_MULTIPART}" if pictures else _JSON
        raise MediaTypeError(
            f"the body must be {forms}, got {kind or 'no content type'}",
            remedy=f"set the header Content-Type: {_JSON}",
            expected=[_JSON, _MULTIPART] if pictures else [_JSON],
            actual=kind,
        )

    return receive


def validated(model: type[M], fields: object) -> M:
    """Fields as a model.

    Raises:
        RequestError: They are not what the model asks for; what was sent is not repeated.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = [
            {"where": ".".join(map(str, part["loc"])), "what": _clean(part["msg"])}
            for part in error.errors(include_url=False, include_input=False, include_context=False)
        ][:_SHOWN_PROBLEMS]
        told = "; ".join(f"{one['where'] or 'the body'}: {one['what']}" for one in problems)
        raise RequestError(told, remedy="see the API's documentation", fields=problems) from None


def _clean(message: str) -> str:
    return message.removeprefix("Value error, ")


# -- JSON -----------------------------------------------------------------------------------------


async def _from_json(request: Request, model: type[M], pictures: Pictures | None) -> Received[M]:
    body = await request.body()
    if len(body) > _LARGE_BYTES:
        fields = await run_in_threadpool(_parsed, body)
    else:
        fields = _parsed(body)
    found: tuple[Upload, ...] = ()
    if pictures is not None:
        found = _base64_pictures(fields.pop(pictures.key, None), pictures)
    return Received(validated(model, fields), found)


def _parsed(body: bytes) -> Fields:
    if not body.strip():
        return {}
    try:
        value = pydantic_core.from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise RequestError(
            f"the body must be JSON in UTF-8: {error}", remedy="check it with a JSON parser"
        ) from None
    if not isinstance(value, dict):
        raise RequestError(f"the body must be a JSON object, got {_kind(value)}")
    return value


def _base64_pictures(value: object, pictures: Pictures) -> tuple[Upload, ...]:
    texts = [value] if pictures.most == 1 and value is not None else value
    if texts is None:
        texts = []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        shape = "base64 text" if pictures.most == 1 else "a list of base64 texts"
        raise RequestError(f"{pictures.key} must be {shape}", field=pictures.key)
    _check_count(len(texts), pictures, pictures.key)
    return tuple(Upload(text) for text in texts)


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


# -- multipart ------------------------------------------------------------------------------------


async def _from_form(request: Request, model: type[M], pictures: Pictures) -> Received[M]:
    try:
        form = await request.form(max_files=pictures.most + 1, max_fields=_MAX_FIELDS)
    except HTTPException as error:
        raise RequestError(f"the multipart body cannot be read: {error.detail}") from None
    try:
        options = validated(model, _form_fields(form, model))
        files = form.getlist("file")
        _check_count(len(files), pictures, "file")
        found = [await _uploaded(part) for part in files]
    finally:
        await form.close()
    return Received(options, tuple(found))


def _form_fields(form: FormData, model: type[M]) -> Fields:
    """A form's fields; of those that a model lists, every one, else the last."""
    fields: Fields = {}
    for name in form:
        if name == "file":
            continue
        values = form.getlist(name)
        if not all(isinstance(value, str) for value in values):
            raise RequestError(f"pictures must be parts called 'file', got one called {name!r}")
        fields[name] = values if _is_list(model, name) else values[-1]
    return fields


def _is_list(model: type[BaseModel], name: str) -> bool:
    return name in model.model_fields and "list[" in str(model.model_fields[name].annotation)


async def _uploaded(part: UploadFile | str) -> Upload:
    if isinstance(part, str):
        raise RequestError("file must be a part with a file name, as `curl -F file=@…` sends it")
    return Upload(await part.read(), part.filename or None)


def _check_count(count: int, pictures: Pictures, name: str) -> None:
    if pictures.least <= count <= pictures.most:
        return
    wanted = (
        f"{pictures.least}"
        if pictures.least == pictures.most
        else f"{pictures.least} to {pictures.most}"
    )
    raise RequestError(
        f"{name} must hold {wanted} picture{'' if wanted == '1' else 's'}, got {count}",
        remedy="send them as multipart parts called `file`, or as base64 in JSON",
        expected=[pictures.least, pictures.most],
        actual=count,
    )


# -- for the OpenAPI document ---------------------------------------------------------------------


_ENCODED = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "A picture in base64; a data URI will do as well.",
}
_PART = {
    "type": "string",
    "contentMediaType": "application/octet-stream",
    "format": "binary",
    "description": "A picture: JPEG, PNG, WebP, BMP, TIFF, GIF.",
}


def described(
    model: type[BaseModel],
    pictures: Pictures | None = None,
    example: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A route's ``openapi_extra``: both forms of its body, from the model."""
    schema = _schema_of(model)
    example = dict(example or {})
    if pictures is None:
        needed = bool(schema.get("required"))
        return {"requestBody": _content(needed, {_JSON: _media(schema, example)})}
    many = {
        "type": "array",
        "minItems": pictures.least,
        "maxItems": pictures.most,
        "description": "The pictures, in order.",
    }
    one = pictures.most == 1
    in_json = _ENCODED if one else {**many, "items": _ENCODED}
    in_form = _PART if one else {**many, "items": _PART}
    shown = "/9j/4AAQSkZJRg…" if one else ["/9j/4AAQSkZJRg…"] * max(pictures.least, 1)
    must = pictures.least > 0
    content = {
        _JSON: _media(_with(schema, pictures.key, in_json, must), {pictures.key: shown, **example}),
        _MULTIPART: {"schema": _with(schema, "file", in_form, must)},
    }
    return {"requestBody": _content(must, content)}


def _schema_of(model: type[BaseModel]) -> Fields:
    schema = model.model_json_schema(mode="validation")
    for field in schema["properties"].values():
        for branch in field.get("anyOf", ()):  # where pydantic puts what an optional type says
            for told in ("description", "examples"):
                if told in branch:
                    field.setdefault(told, branch.pop(told))
    return schema


def _with(schema: Mapping[str, Any], name: str, field: Fields, must: bool) -> Fields:
    required = [*([name] if must else []), *schema.get("required", [])]
    return {
        **schema,
        "properties": {name: field, **schema.get("properties", {})},
        **({"required": required} if required else {}),
    }


def _media(schema: Mapping[str, Any], example: Fields) -> Fields:
    return {"schema": dict(schema), **({"example": example} if example else {})}


def _content(required: bool, content: Fields) -> Fields:
    return {"required": required, "content": content}

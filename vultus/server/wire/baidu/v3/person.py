"""Face V3: compare somebody with the photo of their ID card, from the local registry."""

from __future__ import annotations

from typing import Any

from vultus.errors import RangeError
from vultus.server.store.idcards import FoundCard
from vultus.server.wire.baidu.call import Call
from vultus.server.wire.baidu.errors import gateway, v3
from vultus.server.wire.baidu.v3._given import Controls, face_of

__all__ = ["id_match", "person_verify"]


def person_verify(call: Call) -> dict[str, Any]:
    """How like the photo of an ID card is a face, 0 to 100?

    Raises:
        BaiduError: There is no registry, or number and name are not of one card.
    """
    controls = Controls.of(call)
    found = _card(call)
    if found.embedding is None:
        raise v3(222355)
    (shown,) = call.embedded([face_of(call, controls)])
    assert shown.embedding is not None  # noqa: S101 - embedded above
    return {"score": call.points(shown.embedding.similarity(found.embedding))}


def id_match(call: Call) -> None:
    """Do number and name belong together?

    Raises:
        BaiduError: There is no registry, or they do not.
    """
    _card(call)


def _card(call: Call) -> FoundCard:
    number, name = call.fields.text("id_card_number"), call.fields.text("name")
    cards, tenant = call.tools.cards, call.principal.tenant
    if cards.count(tenant) == 0:
        raise gateway(6)
    if len(name.strip().encode("utf-8", "surrogatepass")) not in range(1, 257):
        raise v3(222352)
    try:
        found = cards.find(tenant, number, name, call.service.recognizer.embedder.space)
    except RangeError as error:
        raise v3(222353) from error
    if found is None or not found.name_fits:  # which of the two, nobody is told
        raise v3(222351)
    return found

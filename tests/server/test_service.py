from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from vultus.errors import SpaceMismatchError, VultusError
from vultus.gallery import acting_as
from vultus.gallery.audit import actor
from vultus.server.errors import NotFoundError, NotReadyError
from vultus.server.service import MAIN, Service
from vultus.server.settings import Settings


@pytest.fixture
def service(enrolled_path: Path) -> Iterator[Service]:
    made = Service(Settings(gallery=str(enrolled_path), threads=1))
    yield made
    made.close()


def test_it_is_not_ready_until_model_and_gallery_are(service: Service):
    assert service.not_ready() == "loading"
    with pytest.raises(NotReadyError):
        _ = service.recognizer
    service.start().join(60)
    assert service.not_ready() is None
    assert service.recognizer.embedder.space == service.main_gallery().space


def test_a_lost_gallery_makes_it_unready(service: Service, enrolled_path: Path):
    service.load()
    assert service.not_ready() is None
    enrolled_path.unlink()
    assert service.not_ready() == "gallery-file"


def test_ending_makes_it_unready(service: Service):
    service.load()
    service.close()
    assert service.not_ready() == "ending"


def test_a_gallery_of_another_model_is_refused_and_both_are_named(enrolled_path: Path):
    service = Service(Settings(gallery=str(enrolled_path), threads=1, mirror=False))
    told: list[VultusError] = []
    service.start(told.append).join(60)
    service.close()
    (error,) = told
    assert isinstance(error, SpaceMismatchError)
    assert "dlib-10+mirror" in error.message
    assert error.message.endswith("dlib-10")


def test_what_breaks_at_the_start_is_not_swallowed(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    def breaks() -> None:
        raise KeyError("x")

    monkeypatch.setattr(service, "load", breaks)
    told: list[VultusError] = []
    service.start(told.append).join(10)
    assert [error.code for error in told] == ["internal"]
    assert service.not_ready() == "internal"


def test_before_there_are_tenants_the_main_gallery_is_nobodys(service: Service):
    assert asyncio.run(service.main_tenant()) == MAIN
    assert service.gallery(MAIN) is service.main_gallery()
    with pytest.raises(NotFoundError):
        service.gallery("acme")
    service.keys.create("acme", {"read"})
    assert service.gallery("acme") is service.main_gallery()
    assert asyncio.run(service.main_tenant()) == "acme"


def test_work_on_a_database_carries_who_acts(service: Service):
    async def ask() -> str:
        with acting_as("app:1"):
            return await service.db(actor)

    assert asyncio.run(ask()) == "app:1"


def test_the_galleries_own_key_encrypts_crops(service: Service, monkeypatch: pytest.MonkeyPatch):
    assert service.crop_key == service.secrets.key("crops")
    monkeypatch.setenv("VULTUS_GALLERY_KEY", "A" * 43 + "=")
    assert service.crop_key == bytes(32)

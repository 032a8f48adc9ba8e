"""Embedding a set of pictures: faces, failures, the cache, and what invalidates it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.errors import (
    CardError,
    InsufficientDataError,
    ModelError,
    RangeError,
    ShapeError,
)
from vultus.evaluate import _cache, _one_picture, embeddings
from vultus.evaluate._cache import EmbeddingCache, Entry, default_cache
from vultus.evaluate.embeddings import (
    EmbeddedPictures,
    EmbedOptions,
    Progress,
    central_face,
    embed_pictures,
)
from vultus.pipeline import Recognizer, load
from vultus.types import Box, Face, Frame, Landmarks


@pytest.fixture
def pictures(samples: Path, tmp_path: Path) -> list[Path]:
    """Two faces, one of them twice, a blank, a broken file, one that is missing."""
    paths = [tmp_path / f"{i}.jpg" for i in range(6)]
    shutil.copy(samples / "known" / "Joe Biden.jpg", paths[0])
    shutil.copy(samples / "photos" / "obama2.jpg", paths[1])
    shutil.copy(paths[0], paths[2])
    Image.new("RGB", (80, 80), "white").save(paths[3])
    paths[4].write_bytes(b"no picture")
    return paths


def test_embeddings_are_the_pipeline_s(pictures: list[Path], recognizer: Recognizer) -> None:
    found = embed_pictures(pictures)
    for i in (0, 1):
        (face,) = recognizer.detect(pictures[i])
        expected = recognizer.embed(face)
        assert found.vectors[i] == pytest.approx(expected.vector, abs=1e-5)
        assert found.raw_norms[i] == pytest.approx(expected.raw_norm, rel=1e-5)
    assert found.vectors[2].tolist() == found.vectors[0].tolist()
    assert found.space == recognizer.embedder.space
    assert found.vectors.dtype == np.float32


def test_failures_are_listed_and_the_rest_goes_on(pictures: list[Path]) -> None:
    found = embed_pictures(pictures, jobs=2)
    assert found.found.tolist() == [True, True, True, False, False, False]
    assert found.faces.tolist() == [1, 1, 1, 0, -1, -1]
    assert not found.vectors[3:].any()
    assert [(f.index, f.code) for f in found.failures] == [
        (3, "no-face"),
        (4, "image-format"),
        (5, "image-not-found"),
    ]
    assert found.missing == [str(pictures[5])]
    assert found.no_face == [str(pictures[3]), str(pictures[4])]
    assert found.exists.tolist() == [True] * 5 + [False]
    assert found.digests[0] == found.digests[2] != found.digests[1]
    document = json.loads(json.dumps(found.to_dict()))
    assert (document["pictures"], document["embedded"]) == (6, 3)
    assert document["failures"][2]["path"] == str(pictures[5])


def test_bytes_are_pictures_too(pictures: list[Path]) -> None:
    both = embed_pictures([pictures[0].read_bytes(), b"", pictures[1]])
    files = embed_pictures(pictures[:2])
    assert both.vectors[[0, 2]].tolist() == files.vectors.tolist()
    assert [(f.path, f.code) for f in both.failures] == [("picture 1", "image-empty")]


def test_progress(pictures: list[Path]) -> None:
    seen: list[Progress] = []
    embed_pictures(pictures, progress=seen.append)
    # Four different readable files are to be done.
    assert [(p.done, p.total) for p in seen] == [(i, 4) for i in range(1, 5)]
    assert all(p.per_s > 0 for p in seen)
    assert seen[-1].left_s == 0.0
    seen.clear()
    embed_pictures(pictures, progress=seen.append)
    assert [p.total for p in seen] == [1]  # only the broken one is tried again


def test_nothing_to_embed() -> None:
    with pytest.raises(InsufficientDataError, match="no picture to embed"):
        embed_pictures([])


def test_models_that_cannot_be_used_end_it(pictures: list[Path]) -> None:
    with pytest.raises(ModelError):
        embed_pictures(pictures, EmbedOptions(model="sface"))
    with pytest.raises(ModelError):
        embed_pictures(pictures, EmbedOptions(model="nobody"))


@pytest.mark.parametrize("options", [{"face": "smallest"}, {"crops": "square"}])
def test_unknown_choices(options) -> None:
    with pytest.raises(RangeError, match="must be one of"):
        EmbedOptions(**options)


# -- which face ---------------------------------------------------------------------------------


def _face(frame: Frame, x1: float, y1: float, side: float) -> Face:
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    landmarks = Landmarks((points * side + (x1, y1)).astype(np.float32))
    return Face(Box(x1, y1, x1 + side, y1 + side), 0.9, landmarks, frame)


def test_the_face_in_the_middle_counts_more_than_a_larger_one_at_the_edge() -> None:
    frame = Frame(np.zeros((250, 250, 3), np.uint8))
    corner = _face(frame, 0, 0, 100)  # 10000 - 2 * (75² + 75²) = -12500
    middle = _face(frame, 95, 95, 60)  # 3600 - 0
    assert central_face([corner, middle]) is middle
    large = _face(frame, 60, 60, 110)  # 12100 - 2 * (10² + 10²) = 11700
    assert central_face([corner, middle, large]) is large


def test_centre_or_largest(samples: Path, tmp_path: Path, recognizer: Recognizer) -> None:
    small = Image.open(samples / "known" / "Joe Biden.jpg").convert("RGB").resize((160, 200))
    large = Image.open(samples / "photos" / "obama2.jpg").convert("RGB").resize((320, 613))
    both = Image.new("RGB", (1000, 613))
    both.paste(large, (0, 0))
    both.paste(small, (420, 200))
    both.save(tmp_path / "both.png")
    alone = embed_pictures([samples / "known/Joe Biden.jpg", samples / "photos/obama2.jpg"])
    centre = embed_pictures([tmp_path / "both.png"])
    largest = embed_pictures([tmp_path / "both.png"], EmbedOptions(face="largest"))
    assert centre.faces.tolist() == [2]
    assert (alone.vectors @ centre.vectors[0]).argmax() == 0
    assert (alone.vectors @ largest.vectors[0]).argmax() == 1


# -- crops and points ---------------------------------------------------------------------------


def test_known_points_take_the_place_of_detection(
    pictures: list[Path], recognizer: Recognizer
) -> None:
    points = np.stack([recognizer.detect(path)[0].points for path in pictures[:2]])
    given = embed_pictures(pictures[:2], points=points)
    found = embed_pictures(pictures[:2])
    cosines = (given.vectors * found.vectors).sum(axis=1)
    assert cosines == pytest.approx([1, 1], abs=1e-4)
    assert given.faces.tolist() == [1, 1]
    moved = embed_pictures(pictures[:2], points=points + 20)
    assert moved.cached == 0  # other points are another picture
    with pytest.raises(ShapeError, match="five per picture"):
        embed_pictures(pictures[:2], points=points[:1])


def test_crops_of_the_model_s_own_kind(
    pictures: list[Path], tmp_path: Path, recognizer: Recognizer
) -> None:
    (face,) = recognizer.detect(pictures[0])
    (chip,) = recognizer.embedder.aligner.align([face])
    Image.fromarray(chip).save(tmp_path / "chip.png")
    wide = Image.new("RGB", (200, 150))
    wide.paste(Image.fromarray(chip), (25, 0))
    wide.save(tmp_path / "wide.png")
    Image.fromarray(chip).resize((300, 300)).save(tmp_path / "large.png")
    crops = [tmp_path / name for name in ("chip.png", "wide.png", "large.png")]
    found = embed_pictures(crops, EmbedOptions(crops="aligned"))
    cosines = found.vectors @ recognizer.embed(face).vector
    assert cosines == pytest.approx([1, 1, 1], abs=2e-3)


def test_crops_on_the_template_of_arcface(
    pictures: list[Path], tmp_path: Path, recognizer: Recognizer
) -> None:
    from vultus.align import ARCFACE_112, SimilarityAligner

    (face,) = recognizer.detect(pictures[0])
    (crop,) = SimilarityAligner(ARCFACE_112 * 4, 448, "large").align([face])
    Image.fromarray(crop).save(tmp_path / "crop.png")
    found = embed_pictures([tmp_path / "crop.png"], EmbedOptions(crops="arcface"))
    # Not the very same: the crop shows less around the face.
    assert found.vectors[0] @ recognizer.embed(face).vector > 0.97


def test_joined_models_take_no_crops_of_their_own(tmp_path: Path) -> None:
    class Joined:
        space = load().embedder.space

    class Fake:
        embedder = Joined()

    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(CardError, match="joins several models"):
        _one_picture.embed_one(Fake(), EmbedOptions(crops="aligned"), [tmp_path / "a.png"], None, 0)


# -- the cache ----------------------------------------------------------------------------------


def test_a_second_run_reads_the_cache(pictures: list[Path], own_cache: Path, monkeypatch) -> None:
    first = embed_pictures(pictures)
    assert (first.cached, own_cache.is_dir()) == (0, True)
    monkeypatch.setattr(_one_picture, "load_frame", None)  # must not be needed
    again = embed_pictures(pictures[:4])
    assert again.cached == 3  # two faces, and that there is none in the blank
    assert again.vectors.tolist() == first.vectors[:4].tolist()
    assert again.raw_norms.tolist() == first.raw_norms[:4].tolist()
    assert again.faces.tolist() == [1, 1, 1, 0]
    assert [f.code for f in again.failures] == ["no-face"]


def test_what_changes_an_embedding_changes_its_key(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_pictures(pictures[:2])
    assert embed_pictures(pictures[:2]).cached == 2
    for options in (
        EmbedOptions(mirror=False),
        EmbedOptions(min_face_px=30),
        EmbedOptions(face="largest"),
        EmbedOptions(crops="aligned"),
        EmbedOptions(crops="arcface"),
    ):
        assert embed_pictures(pictures[:2], options).cached == 0
    pictures[0].write_bytes(pictures[1].read_bytes())  # other contents, same name
    assert embed_pictures(pictures[:1]).cached == 1
    monkeypatch.setattr(embeddings, "code_digest", lambda: "other code")
    assert embed_pictures(pictures[:2]).cached == 0


def test_the_code_s_digest_covers_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    real = _cache.code_digest()
    assert len(real) == 64
    _cache.code_digest.cache_clear()
    for room in _cache._ROOMS:  # every one of them is there, and counts
        with monkeypatch.context() as patch:
            others = tuple(name for name in _cache._ROOMS if name != room)
            patch.setattr(_cache, "_ROOMS", others)
            assert _cache.code_digest() != real
        _cache.code_digest.cache_clear()


def test_without_the_cache_nothing_is_written(pictures: list[Path], own_cache: Path) -> None:
    assert embed_pictures(pictures[:1], use_cache=False).cached == 0
    assert not own_cache.exists()


def test_another_folder(pictures: list[Path], tmp_path: Path, own_cache: Path) -> None:
    embed_pictures(pictures[:1], cache_folder=tmp_path / "here")
    assert embed_pictures(pictures[:1], cache_folder=tmp_path / "here").cached == 1
    assert not own_cache.exists()


def test_a_run_that_breaks_off_keeps_its_part(pictures: list[Path]) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_pictures(pictures, jobs=1, progress=stop)
    assert embed_pictures(pictures[:2]).cached == 2


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VULTUS_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.setenv("VULTUS_CACHE", " ")
    assert default_cache().name == "vultus"


ENTRY = Entry(2, 1.5, np.array([0.6, 0.8], np.float32))


def _filled(folder: Path) -> Path:
    with EmbeddingCache(folder, "make") as cache:
        cache.keep([(b"a", ENTRY), (b"b", Entry(0, 0.0, np.zeros(0, np.float32)))])
        assert set(cache.find([b"a", b"b", b"c"])) == {b"a", b"b"}
        return cache.path


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    _filled(tmp_path)
    with EmbeddingCache(tmp_path, "make") as cache:
        found = cache.find([b"a", b"b"])
    assert (found[b"a"].faces, found[b"a"].raw_norm) == (2, 1.5)
    assert found[b"a"].vector.tolist() == ENTRY.vector.tolist()
    assert len(found[b"b"].vector) == 0
    with EmbeddingCache(tmp_path, "other") as cache:
        assert cache.find([b"a"]) == {}


def test_many_digests_in_one_question(tmp_path: Path) -> None:
    with EmbeddingCache(tmp_path, "make") as cache:
        cache.keep([(b"%d" % i, ENTRY) for i in range(1201)])
        assert len(cache.find([b"%d" % i for i in range(2000)])) == 1201


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100, None])
def test_a_damaged_file_is_begun_afresh(tmp_path: Path, damage, caplog) -> None:
    path = _filled(tmp_path)
    if damage is None:  # pages overwritten in the midst
        data = bytearray(path.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        damage = bytes(data)
    path.write_bytes(damage)
    with EmbeddingCache(tmp_path, "make") as cache:
        assert cache.find([b"a"]) == {}
        cache.keep([(b"a", ENTRY)])
        assert cache.find([b"a"])[b"a"].faces == 2
    if damage:
        assert "was damaged and is begun afresh" in caplog.text
        assert path.with_suffix(".damaged").exists()


def test_a_row_that_was_changed_is_not_believed(tmp_path: Path) -> None:
    path = _filled(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE pictures SET vector = zeroblob(8) WHERE digest = ?", [b"a"])
    connection.commit()
    connection.close()
    with EmbeddingCache(tmp_path, "make") as cache:
        assert set(cache.find([b"a", b"b"])) == {b"b"}
        cache.keep([(b"a", ENTRY)])
        assert set(cache.find([b"a", b"b"])) == {b"a", b"b"}


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, caplog) -> None:
    (tmp_path / "file").touch()
    with EmbeddingCache(tmp_path / "file" / "folder", "make") as cache:
        cache.keep([(b"a", ENTRY)])
        assert cache.find([b"a"]) == {}
    assert "cannot be used" in caplog.text
    (tmp_path / "embeddings-1.db").mkdir()
    with EmbeddingCache(tmp_path, "make") as cache:
        assert cache.find([b"a"]) == {}


def test_two_runs_may_share_a_cache(tmp_path: Path) -> None:
    with EmbeddingCache(tmp_path, "make") as one, EmbeddingCache(tmp_path, "make") as other:
        one.keep([(b"a", ENTRY)])
        other.keep([(b"b", ENTRY)])
        assert set(one.find([b"a", b"b"])) == set(other.find([b"a", b"b"])) == {b"a", b"b"}


def test_taking_some(pictures: list[Path]) -> None:
    found = embed_pictures(pictures)
    some = found.take([5, 0, 3])
    assert some.vectors.tolist() == found.vectors[[5, 0, 3]].tolist()
    assert some.found.tolist() == [False, True, False]
    assert [(f.index, f.code) for f in some.failures] == [(0, "image-not-found"), (2, "no-face")]
    assert some.exists.tolist() == [False, True, True]


# -- embeddings of others -----------------------------------------------------------------------


def test_embeddings_that_others_made() -> None:
    found = EmbeddedPictures.of(np.array([[3.0, 4.0], [0.0, 0.0]]), "mine", [True, False])
    assert found.vectors == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    assert found.raw_norms.tolist() == [5.0, 0.0]
    assert (found.space.model, found.space.dimension) == ("mine", 2)
    assert [f.path for f in found.failures] == ["picture 1"]
    with pytest.raises(RangeError, match="of some length"):
        EmbeddedPictures.of(np.zeros((2, 2)), "mine")
    with pytest.raises(RangeError, match="of some length"):
        EmbeddedPictures.of(np.full((2, 2), np.nan), "mine")
    with pytest.raises(ShapeError, match="one per embedding"):
        EmbeddedPictures.of(np.ones((2, 2)), "mine", [True])

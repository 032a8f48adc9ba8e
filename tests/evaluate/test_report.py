"""The report card: its numbers against plain loops, its page in a real browser."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate import report as room
from vultus.evaluate.embeddings import EmbeddedPictures, EmbedOptions, Failure
from vultus.evaluate.metrics import threshold_at_fmr
from vultus.evaluate.page import render_page
from vultus.evaluate.report import GateCheck, ModelReport, Named, make_report, parse_gate
from vultus.evaluate.robustness import Sweep
from vultus.types import EmbeddingSpace

for name in ("matplotlib", "scipy", "sklearn"):
    pytest.importorskip(name, reason="the extra 'evaluate' is not installed")

SPACE = EmbeddingSpace("test", "ab" * 32, 16, "none")
OPTIONS = EmbedOptions()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def _embedded(people: int, each: int, lost: tuple[int, ...] = ()) -> EmbeddedPictures:
    random = np.random.default_rng(5)
    centres = np.repeat(random.standard_normal((people, 16)), each, axis=0)
    vectors = centres + 0.7 * random.standard_normal(centres.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = np.ones(len(vectors), bool)
    found[list(lost)] = False
    return EmbeddedPictures(
        vectors=vectors.astype(np.float32),
        found=found,
        raw_norms=found.astype(np.float32),
        faces=np.ones(len(vectors), np.intp),
        digests=tuple(f"{i:064x}" for i in range(len(vectors))),
        failures=tuple(Failure(i, f"{i}.jpg", "no-face", "no face") for i in lost),
        space=SPACE,
        cached=0,
        seconds=1.5,
    )


def _named(people: int, each: int, **more: object) -> Named:
    count = people * each
    paths = tuple(Path(f"{i}.jpg") for i in range(count))
    return Named(paths, tuple(f"p{i // each:02}" for i in range(count)), **more)  # type: ignore[arg-type]


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> EmbeddedPictures:
    made = _embedded(30, 4, lost=(3,))
    monkeypatch.setattr(room, "embed_pictures", lambda *_, **__: made)
    return made


def _plain(made: EmbeddedPictures, people: tuple[str, ...]) -> tuple[list[float], list[float]]:
    genuine, impostor = [], []
    for i, j in itertools.combinations(np.flatnonzero(made.found).tolist(), 2):
        score = float(made.vectors[i] @ made.vectors[j])
        (genuine if people[i] == people[j] else impostor).append(score)
    return genuine, impostor


class TestNumbers:
    def test_are_those_of_every_pair(self, embedded: EmbeddedPictures):
        named = _named(30, 4)
        made = make_report(named, OPTIONS, rounds=20, with_map=False)
        genuine, impostor = _plain(embedded, named.people)
        assert sorted(made.genuine) == pytest.approx(sorted(genuine), abs=1e-6)
        assert sorted(made.impostor) == pytest.approx(sorted(impostor), abs=1e-6)
        assert made.verification.subjects == 30
        point = made.verification.points[1]
        limit = threshold_at_fmr(np.array(impostor), 0.01)
        assert point.threshold == pytest.approx(limit, abs=1e-6)
        assert point.fnmr == pytest.approx(np.mean(np.array(genuine) < limit), abs=1e-9)
        assert point.fnmr_interval is not None
        assert made.sampled is None
        assert made.failures == (("3.jpg", "no-face", "no face"),)

    def test_worst_mistakes_are_the_extremes(self, embedded: EmbeddedPictures):
        named = _named(30, 4)
        made = make_report(named, OPTIONS, rounds=20, with_map=False)
        genuine, impostor = _plain(embedded, named.people)
        assert [p.similarity for p in made.false_accepts] == pytest.approx(
            sorted(impostor, reverse=True)[:12], abs=1e-5
        )
        assert [p.similarity for p in made.false_rejects] == pytest.approx(
            sorted(genuine)[:12], abs=1e-5
        )
        assert all(len(set(p.people)) == 2 for p in made.false_accepts)
        assert all(len(set(p.people)) == 1 for p in made.false_rejects)

    def test_many_impostors_are_drawn_and_told(
        self, embedded: EmbeddedPictures, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(room, "_MOST_IMPOSTORS", 1000)
        named = _named(30, 4)
        made = make_report(named, OPTIONS, rounds=20, with_map=False)
        genuine, impostor = _plain(embedded, named.people)
        assert made.sampled == len(impostor)
        assert len(made.genuine) == len(genuine)  # these are never left out
        assert 850 < len(made.impostor) < 1150
        again = make_report(named, OPTIONS, rounds=20, with_map=False)
        assert np.array_equal(made.impostor, again.impostor)

    def test_a_list_of_pairs(self, embedded: EmbeddedPictures):
        pairs = np.array([(0, 1), (0, 3), (4, 5), (0, 4), (1, 8), (2, 12)])
        named = _named(30, 4, pairs=pairs)
        made = make_report(named, OPTIONS, rounds=20, with_map=False)
        expected = [float(embedded.vectors[i] @ embedded.vectors[j]) for i, j in ((0, 1), (4, 5))]
        assert made.genuine == pytest.approx(expected, abs=1e-6)  # picture 3 gave no embedding
        assert len(made.impostor) == 3

    def test_slices_by_hand(self, embedded: EmbeddedPictures):
        cameras = tuple("ab"[i // 60] if i < 119 else "" for i in range(120))
        named = _named(30, 4, attributes={"camera": cameras})
        made = make_report(named, OPTIONS, rounds=20, with_map=False)
        limit = made.verification.points[1].threshold
        assert [(s.column, s.value, s.pictures) for s in made.slices] == [
            ("camera", "a", 60),
            ("camera", "b", 59),
        ]
        rows = [i for i in range(60) if i != 3]
        same, others = [], []
        for i, j in itertools.combinations(rows, 2):
            score = float(embedded.vectors[i] @ embedded.vectors[j])
            (same if i // 4 == j // 4 else others).append(score)
        first = made.slices[0]
        assert (first.genuine, first.impostor) == (len(same), len(others))
        assert first.fnmr == pytest.approx(np.mean(np.array(same) < limit))
        assert first.fmr == pytest.approx(np.mean(np.array(others) >= limit))

    def test_a_small_slice_has_no_numbers(self, embedded: EmbeddedPictures):
        ages = tuple("old" if i < 2 else "young" for i in range(120))
        made = make_report(
            _named(30, 4, attributes={"age": ages}), OPTIONS, rounds=20, with_map=False
        )
        assert (made.slices[0].fnmr, made.slices[0].fmr) == (None, None)

    def test_discarding_by_quality(self, embedded: EmbeddedPictures):
        named = _named(30, 4)
        best = np.random.default_rng(1).uniform(0.5, 1.0, 120)
        best[5] = np.nan
        made = make_report(
            named, OPTIONS, rounds=20, with_map=False, quality=lambda paths: best[: len(paths)]
        )
        assert made.discard is not None
        assert made.discard.fnmr[0] >= 0.0
        assert make_report(named, OPTIONS, rounds=20, with_map=False).discard is None

    def test_the_map_keeps_people_together(self, embedded: EmbeddedPictures):
        made = make_report(_named(30, 4), OPTIONS, rounds=20)
        assert made.points is not None
        assert made.points.shape == (119, 2)
        people = np.array(made.map_people)
        gaps = np.linalg.norm(made.points[:, None] - made.points[None], axis=2)
        np.fill_diagonal(gaps, np.inf)
        assert np.mean(people[gaps.argmin(axis=1)] == people) > 0.8

    @pytest.mark.parametrize("named", [_named(1, 4), _named(4, 1), Named((), ())])
    def test_too_little_data(self, named: Named, monkeypatch: pytest.MonkeyPatch):
        count = max(1, len(named.paths))
        monkeypatch.setattr(room, "embed_pictures", lambda *_, **__: _embedded(count, 1))
        with pytest.raises(InsufficientDataError):
            make_report(named, OPTIONS, rounds=20, with_map=False)


@pytest.fixture(scope="module")
def made() -> ModelReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "embed_pictures", lambda *_, **__: _embedded(30, 4, lost=(3,)))
        quality = np.random.default_rng(1).uniform(0.5, 1.0, 120)
        return make_report(
            _named(30, 4, attributes={"camera": tuple("ab"[i % 2] for i in range(120))}),
            OPTIONS,
            rounds=20,
            quality=lambda _: quality,
        )


class TestRequirements:
    def test_met_and_unmet(self, made: ModelReport):
        fnmr = made.verification.points[1].fnmr
        assert parse_gate(f"fnmr@fmr=1e-2<{fnmr + 0.01}", made).met
        assert not parse_gate(f"fnmr@fmr=0.01 < {fnmr}", made).met
        assert parse_gate(f"fnmr@fmr=1e-2<={fnmr}", made).met
        assert parse_gate("auc>0.5", made).met
        assert parse_gate("eer<0.5", made).met

    def test_insufficient_data_meets_nothing(self, made: ModelReport):
        assert parse_gate("fnmr@fmr=1e-5<1.0", made) == GateCheck("fnmr@fmr=1e-5<1.0", None, False)

    @pytest.mark.parametrize(
        "text", ["", "fnmr<1", "fnmr@fmr=1e-3", "eer=0.1", "fnmr@fmr=x<1", "fnmr@fmr=0.5<1"]
    )
    def test_no_requirement(self, text: str, made: ModelReport):
        with pytest.raises(RangeError):
            parse_gate(text, made)


def _page(made: ModelReport) -> str:
    sweep = Sweep("Blur", "%", (0.0, 2.0, 4.0), np.array([0.9, 0.7, 0.2]), (0, 0, 3), "Gaussian.")
    return render_page(
        "Report card: <people> & others",
        {"source": "a & b", "pictures": "120"},
        [made, made],
        gates=[parse_gate("eer<0.5", made), parse_gate("fnmr@fmr=1e-5<1", made)],
        sweeps=[sweep],
        notes=["The same picture under different names"],
    )


class TestPage:
    def test_needs_nothing_else(self, made: ModelReport):
        page = _page(made)
        assert "<script" not in page
        addresses = set(re.findall(r"""(?:src|href)=["']([^"']{0,30})""", page))
        assert all(a.startswith(("data:", "#")) for a in addresses)
        assert "Report card: &lt;people&gt; &amp; others" in page

    def test_says_what_was_measured(self, made: ModelReport):
        page = _page(made)
        for name in ("roc", "det", "histogram", "discard", "robustness-0", "map"):
            assert f'<figure id="{name}"><svg' in page
        for name in ("gates", "slices", "false-accepts", "false-rejects", "failures"):
            assert f'id="{name}"' in page
        point = made.verification.points[1]
        assert f"<td>{point.threshold:.4f}</td>" in page
        assert "insufficient data" in page
        assert "NOT met" in page

    def test_the_same_report_gives_the_same_page(self, made: ModelReport):
        assert _page(made) == _page(made)

    def test_json_has_no_infinite_number(self, made: ModelReport):
        import json

        text = json.dumps(made.to_dict(), allow_nan=False)
        assert json.loads(text)["verification"]["genuine"] == made.verification.genuine

    @pytest.mark.slow
    @pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
    def test_every_plot_is_seen_in_a_browser(self, made: ModelReport, tmp_path: Path):
        """A copy of the page that shows its figures alone, one below the other, 400 px each."""
        from PIL import Image

        page = _page(made)
        figures = re.findall(r'<figure id="([\w-]+)">', page)
        assert len(figures) == 6
        style = (
            "body{margin:0!important;padding:0!important;max-width:none!important}"
            "body>*{display:none!important}body>.plots{display:block!important}"
            ".plots figure{height:400px;overflow:hidden;margin:0}figcaption{display:none}"
            "figure svg{height:400px;width:auto}"
        )
        path = tmp_path / "page.html"
        path.write_text(page.replace("</head>", f"<style>{style}</style></head>"), "utf-8")
        shot = tmp_path / "shot.png"
        subprocess.run(
            [
                str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
                f"--window-size=900,{400 * len(figures)}", f"--screenshot={shot}", path.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
        assert pixels.shape[0] >= 400 * len(figures)
        for number, name in enumerate(figures):
            part = pixels[400 * number : 400 * (number + 1)]
            coloured = (np.ptp(part, axis=2) > 60).sum()  # lines and bars; axes and text are grey
            grey = ((np.ptp(part, axis=2) < 20) & (part.mean(axis=2) < 160)).sum()
            assert coloured > 150, f"{name} shows no curve"
            assert grey > 150, f"{name} shows no axes"

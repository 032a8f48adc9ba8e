"""A report as one HTML page that needs nothing else: no script, no address, no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from vultus.errors import VultusError
from vultus.evaluate import plots
from vultus.evaluate.metrics import Interval
from vultus.evaluate.report import GateCheck, ModelReport, Pairing
from vultus.evaluate.robustness import Sweep
from vultus.types import Rate

__all__ = ["document", "figure", "render_page", "table", "thumbnail"]

_THUMB_PX = 112
_SHOWN_FAILURES = 50

_STYLE = """
:root { color-scheme: light; --ink: #111827; --faint: #6b7280; --line: #e5e7eb; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff;
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { margin-top: 2.5rem; font-size: 1.2rem;
  border-bottom: 1px solid var(--line); padding-bottom: .3rem; } h3 { font-size: 1rem; }
p.note, figcaption, .faint { color: var(--faint); font-size: .87rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .facts td { text-align: left; }
th { font-weight: 600; color: var(--faint); }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; max-width: 100%; }
figure svg { max-width: 100%; height: auto; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; }
.pair { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem; font-size: .8rem;
  overflow-wrap: anywhere; } .pair img { width: 7rem; height: 7rem; object-fit: cover; }
.met { color: #15803d; } .unmet { color: #b91c1c; font-weight: 600; }
"""


def render_page(
    title: str,
    facts: Mapping[str, str],
    reports: Sequence[ModelReport],
    *,
    gates: Sequence[GateCheck] = (),
    sweeps: Sequence[Sweep] = (),
    notes: Sequence[str] = (),
) -> str:
    """Lay a report out.

    Args:
        title: Of the page.
        facts: What it is about: counts, date, version.
        reports: One per model, the first one being the one the pairs and the map are of.
        gates: Requirements and whether they are met.
        sweeps: Robustness, where it was measured.
        notes: What the reader must know: duplicates, people with one picture.

    Raises:
        MissingExtraError: matplotlib or SciPy is not installed.
    """
    first = reports[0]
    parts = [
        f"<h1>{escape(title)}</h1>",
        '<div class="facts">' + table(("", ""), list(facts.items()), head=False) + "</div>",
        *(f'<p class="note">{escape(note)}</p>' for note in notes),
        _gates(gates),
        "<h2>Error rates</h2>",
        _summary(reports),
        *(_thresholds(report, several=len(reports) > 1) for report in reports),
        _curves(reports),
        _discard(reports),
        _slices(first),
        _robustness(sweeps),
        _pairs("Different people who look most alike", "false-accepts", first.false_accepts),
        _pairs(
            "Pictures of one person that look least alike", "false-rejects", first.false_rejects
        ),
        _map(first),
        _failures(first),
        '<p class="faint">Accepted: similarity at or above the threshold. FMR: part of the '
        "comparisons of different people that are accepted; FNMR: part of those of one person that "
        "are not (ISO/IEC 19795-1). Intervals: 95 %, bootstrap over people.</p>",
    ]
    return document(title, "\n".join(part for part in parts if part))


def document(title: str, body: str) -> str:
    """A page in the reports' style around what it says."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        "</body>\n</html>\n"
    )


# -- parts ----------------------------------------------------------------------------------------


def table(head_cells: Sequence[str], rows: Iterable[Sequence[str]], *, head: bool = True) -> str:
    """Rows of text as a table; the text is escaped."""
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{escape(c)}</th>" for c in head_cells) + "</tr>")
    for row in rows:
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    return "\n".join([*lines, "</table>"])


def figure(svg: str, name: str, caption: str) -> str:
    """A plot with what it shows; `name` is its anchor."""
    return f'<figure id="{name}">{svg}<figcaption>{escape(caption)}</figcaption></figure>'


def _gates(gates: Sequence[GateCheck]) -> str:
    if not gates:
        return ""
    lines = []
    for gate in gates:
        value = "insufficient data" if gate.value is None else f"{gate.value:.4g}"
        mark = ("met", "met") if gate.met else ("unmet", "NOT met")
        lines.append(
            f'<p class="{mark[0]}">{escape(gate.text)}: {mark[1]}, measured {escape(value)}</p>'
        )
    return '<h2>Requirements</h2>\n<div id="gates">' + "\n".join(lines) + "</div>"


def _number(value: Rate | Interval | float, digits: int = 4) -> str:
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return f"{value.value:.{digits}f} ({value.low:.{digits}f}–{value.high:.{digits}f})"


def _summary(reports: Sequence[ModelReport]) -> str:
    rows = []
    for report in reports:
        v = report.verification
        rows.append(
            (
                report.model,
                f"{v.subjects or 0:,}",
                f"{v.genuine:,}",
                f"{v.impostor:,}" + ("" if report.sampled is None else f" of {report.sampled:,}"),
                _number(v.equal_error_rate),
                _number(v.area_under_curve, 5),
                _number(v.d_prime, 2),
                f"{report.seconds:.1f} s" + (" (cache)" if report.cached else ""),
            )
        )
    columns = ("model", "people", "genuine", "impostor", "EER", "AUC", "d′", "embedding")
    return table(columns, rows)


def _thresholds(report: ModelReport, *, several: bool) -> str:
    rows = []
    for point in report.verification.points:
        fmr = point.fmr_interval or point.fmr
        fnmr = point.fnmr_interval or point.fnmr
        rows.append(
            (
                f"{point.target_fmr:g}",
                f"{point.threshold:.4f}",
                _scientific(fmr),
                _number(fnmr),
                f"{point.false_matches:,}" + ("" if point.dependable else " (few)"),
            )
        )
    for lost in report.verification.out_of_reach:
        needed = f"needs {lost.impostor_needed:,} impostor pairs"
        rows.append((f"{lost.target_fmr:g}", "insufficient data", needed, "", f"{lost.impostor:,}"))
    title = f"<h3>Thresholds{f': {escape(report.model)}' if several else ''}</h3>"
    columns = ("FMR asked", "similarity from", "FMR", "FNMR", "false matches")
    return f'{title}\n<div class="thresholds">{table(columns, rows)}</div>'


def _scientific(value: Rate | float) -> str:
    if isinstance(value, float):
        return f"{value:.2g}"
    return f"{value.value:.2g} ({value.low:.2g}–{value.high:.2g})"


def _curves(reports: Sequence[ModelReport]) -> str:
    curves = {report.model: report.verification.curve for report in reports}
    first = reports[0]
    marks = {f"FMR {p.target_fmr:g}": p.threshold for p in first.verification.points}
    return (
        '<div class="plots">'
        + figure(plots.roc(curves), "roc", "ROC: up and left is better.")
        + figure(plots.det(curves), "det", "DET on normal-deviate axes: down and left is better.")
        + figure(
            plots.histogram(first.genuine, first.impostor, marks),
            "histogram",
            f"Similarities, {first.model}.",
        )
        + "</div>"
    )


def _discard(reports: Sequence[ModelReport]) -> str:
    curve = reports[0].discard
    if curve is None:
        return ""
    return (
        "<h2>What quality is worth</h2>"
        + '<div class="plots">'
        + figure(
            plots.discard(curve), "discard", "Genuine comparisons left out by the worse picture."
        )
        + "</div>"
    )


def _slices(report: ModelReport) -> str:
    if not report.slices:
        return ""
    rows = [
        (
            part.column,
            part.value,
            f"{part.pictures:,}",
            f"{part.genuine:,}",
            f"{part.impostor:,}",
            "insufficient data" if part.fnmr is None else f"{part.fnmr:.4f}",
            "insufficient data" if part.fmr is None else f"{part.fmr:.5f}",
        )
        for part in report.slices
    ]
    columns = ("attribute", "value", "pictures", "genuine", "impostor", "FNMR", "FMR")
    return (
        "<h2>Slices</h2>\n<p class='note'>At the threshold for an FMR of 0.01 over all pictures; "
        "both pictures of a comparison have the value.</p>\n"
        f'<div id="slices">{table(columns, rows)}</div>'
    )


def _robustness(sweeps: Sequence[Sweep]) -> str:
    if not sweeps:
        return ""
    parts = ["<h2>Robustness</h2>"]
    parts.append('<div class="plots">')
    for number, sweep in enumerate(sweeps):
        svg = plots.lines(sweep.title, sweep.unit, "TAR at FMR 1e-3", {"": (sweep.x, sweep.tar)})
        parts.append(figure(svg, f"robustness-{number}", sweep.note))
    parts.append("</div>")
    for sweep in sweeps:
        rows = [
            (f"{x:g}", f"{tar:.4f}", f"{lost:,}")
            for x, tar, lost in zip(sweep.x, sweep.tar.tolist(), sweep.lost, strict=True)
        ]
        parts.append(f"<h3>{escape(sweep.title)}</h3>")
        parts.append(table((sweep.unit, "TAR at FMR 1e-3", "faces not found"), rows))
    return "\n".join(parts)


def _pairs(title: str, name: str, pairs: Sequence[Pairing]) -> str:
    if not pairs:
        return ""
    cards = []
    for pair in pairs:
        images = "".join(thumbnail(path) for path in (pair.first, pair.second))
        names = " and ".join(dict.fromkeys(map(escape, pair.people)))
        files = "<br>".join(escape(Path(p).name) for p in (pair.first, pair.second))
        cards.append(
            f'<div class="pair">{images}<br><b>{pair.similarity:.4f}</b> {names}'
            f'<br><span class="faint">{files}</span></div>'
        )
    inside = "\n".join(cards)
    return f'<h2>{escape(title)}</h2>\n<div class="pairs" id="{name}">{inside}</div>'


def thumbnail(path: str) -> str:
    """The picture, small, within the page."""
    from PIL import Image

    from vultus.sources import load_image

    try:
        picture = Image.fromarray(load_image(Path(path)))
    except VultusError:
        return '<span class="faint">picture gone</span>'
    picture.thumbnail((2 * _THUMB_PX, 2 * _THUMB_PX))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def _map(report: ModelReport) -> str:
    if report.points is None:
        return ""
    svg = plots.embedding_map(report.points, report.map_people)
    caption = "Each point a picture; near points are similar faces (t-SNE)."
    shown = figure(svg, "map", caption)
    return f'<h2>Map of the embeddings</h2><div class="plots">{shown}</div>'


def _failures(report: ModelReport) -> str:
    if not report.failures:
        return ""
    rows = [(path, code) for path, code, _ in report.failures[:_SHOWN_FAILURES]]
    more = len(report.failures) - len(rows)
    tail = f'<p class="note">and {more:,} more</p>' if more > 0 else ""
    return (
        f"<h2>Pictures left out: {len(report.failures):,}</h2>\n"
        f'<div id="failures">{table(("picture", "why"), rows)}</div>{tail}'
    )

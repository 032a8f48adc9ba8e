"""The pictures of a report, as SVG that any browser shows without anything else."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import MissingExtraError
from vultus.evaluate.metrics import DiscardCurve, ErrorCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["det", "discard", "embedding_map", "histogram", "lines", "roc"]

Floats = NDArray[np.floating[Any]]

_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 5e-2, 0.1, 0.2, 0.4)
_COLOURS = ("#1f5fbf", "#c2410c", "#15803d", "#7e22ce", "#b45309", "#0f766e")
_GENUINE, _IMPOSTOR, _LINE = "#15803d", "#c2410c", "#6b7280"
_MAP_COLOURS = 20


def _figure(width: float = 5.6, height: float = 4.2) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "a report's plots take matplotlib", remedy="pip install 'vultus[evaluate]'"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#e5e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, title: str) -> str:
    """The picture as one ``<svg>`` element; the same input gives the same text."""
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "vultus", "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Title": title})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _deviates(rates: Floats) -> Floats:
    """Rates on the normal-deviate scale, Φ⁻¹ (Martin et al. 1997, "The DET curve")."""
    try:
        from scipy.special import ndtri
    except ImportError as error:
        raise MissingExtraError(
            "a DET plot takes SciPy", remedy="pip install 'vultus[evaluate]'"
        ) from error
    result: Floats = ndtri(np.clip(rates, 1e-7, 1 - 1e-7))
    return result


def roc(curves: Mapping[str, ErrorCurve]) -> str:
    """True accept rate over false match rate, the latter logarithmic."""
    figure, axes = _figure()
    for colour, (name, curve) in zip(_cycled(), curves.items(), strict=False):
        inside = curve.fmr > 0
        axes.step(curve.fmr[inside], curve.tar[inside], where="post", color=colour, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("FMR: strangers accepted")
    axes.set_ylabel("TAR: the same person accepted")
    _legend(axes, curves)
    return _svg(figure, "ROC")


def det(
    curves: Mapping[str, ErrorCurve],
    x_label: str = "FMR: strangers accepted",
    y_label: str = "FNMR: the same person rejected",
) -> str:
    """FNMR over FMR (or what else the labels say), both on normal-deviate axes."""
    figure, axes = _figure()
    for colour, (name, curve) in zip(_cycled(), curves.items(), strict=False):
        inside = (curve.fmr > 0) & (curve.fnmr > 0) & (curve.fmr < 1) & (curve.fnmr < 1)
        axes.plot(
            _deviates(curve.fmr[inside]), _deviates(curve.fnmr[inside]), color=colour, label=name
        )
    ticks = _deviates(np.array(_TICKS))
    labels = [f"{tick:g}" for tick in _TICKS]
    axes.set_xticks(ticks, labels, rotation=45)
    axes.set_yticks(ticks, labels)
    low = min(
        (
            float(rates[rates > 0].min(initial=0.4))
            for c in curves.values()
            for rates in (c.fmr, c.fnmr)
        ),
        default=1e-3,
    )
    reach = _deviates(np.array([max(low / 2, 1e-7), 0.5]))
    axes.set_xlim(*reach)
    axes.set_ylim(*reach)
    axes.plot(reach, reach, color=_LINE, linewidth=0.8, linestyle=":")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    _legend(axes, curves)
    return _svg(figure, "DET")


def histogram(
    genuine: Floats,
    impostor: Floats,
    thresholds: Mapping[str, float],
    names: tuple[str, str] = ("same person", "different people"),
    x_label: str = "similarity",
) -> str:
    """How similarities of the same and of different people (or other scores) are spread."""
    figure, axes = _figure()
    low = min(float(genuine.min()), float(impostor.min()))
    high = max(float(genuine.max()), float(impostor.max()))
    bins = np.linspace(low, max(high, low + 1e-6), 81).tolist()
    for values, colour, label in (
        (impostor, _IMPOSTOR, f"{names[1]} ({len(impostor):,})"),
        (genuine, _GENUINE, f"{names[0]} ({len(genuine):,})"),
    ):
        axes.hist(values, bins=bins, density=True, color=colour, alpha=0.55, label=label)
    for name, value in thresholds.items():
        axes.axvline(value, color=_LINE, linewidth=0.9, linestyle="--")
        axes.annotate(
            name,
            (value, 1.0),
            xycoords=("data", "axes fraction"),
            rotation=90,
            va="top",
            ha="right",
            fontsize=7,
            color=_LINE,
        )
    axes.set_xlabel(x_label)
    axes.set_ylabel("density")
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure, "Similarities")


def discard(curve: DiscardCurve) -> str:
    """What is left of FNMR when the worst pictures are left out, against chance."""
    figure, axes = _figure()
    share = 100 * curve.discarded
    axes.plot(share, curve.fnmr, color=_COLOURS[0], label="worst quality first")
    axes.axhline(float(curve.fnmr[0]), color=_LINE, linestyle=":", label="at random")
    axes.set_xlabel("comparisons left out, %")
    axes.set_ylabel("FNMR at the threshold kept")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure, "Error versus discard")


def embedding_map(points: Floats, people: Sequence[str]) -> str:
    """Embeddings laid out in the plane; the people with most pictures in colour."""
    import matplotlib as mpl

    figure, axes = _figure(6.4, 5.2)
    names, counts = np.unique(np.asarray(people), return_counts=True)
    shown = names[np.argsort(-counts, kind="stable")][:_MAP_COLOURS].tolist()
    colours = mpl.colormaps["tab20"]
    rest = np.array([person not in shown for person in people])
    axes.scatter(points[rest, 0], points[rest, 1], s=7, color="#d1d5db")
    for number, name in enumerate(shown):
        own = np.array([person == name for person in people])
        axes.scatter(points[own, 0], points[own, 1], s=9, color=colours(number), label=name)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(frameon=False, fontsize=6, ncols=2, loc="center left", bbox_to_anchor=(1, 0.5))
    return _svg(figure, "Map of the embeddings")


def lines(
    title: str, x_label: str, y_label: str, series: Mapping[str, tuple[Sequence[float], Floats]]
) -> str:
    """Measured points joined by lines, one line per name."""
    figure, axes = _figure(4.6, 3.4)
    for colour, (name, (x, y)) in zip(_cycled(), series.items(), strict=False):
        axes.plot(x, y, marker="o", markersize=3.5, color=colour, label=name)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, fontsize=9)
    _legend(axes, series)
    return _svg(figure, title)


def _cycled() -> Sequence[str]:
    return _COLOURS * 4


def _legend(axes: Axes, named: Mapping[str, object]) -> None:
    if len(named) > 1:
        axes.legend(frameon=False, fontsize=8)

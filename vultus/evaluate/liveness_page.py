"""What a liveness model gets wrong, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from vultus.evaluate import plots
from vultus.evaluate.metrics.attacks import AttackReport, attack_curve
from vultus.evaluate.page import document, figure, table, thumbnail
from vultus.evaluate.protocols.liveness import LivenessEvaluation
from vultus.types import Rate

__all__ = ["render_liveness"]

_SHOWN = 24


def render_liveness(title: str, facts: Mapping[str, str], found: LivenessEvaluation) -> str:
    """Lay an evaluation out.

    Args:
        title: Of the page.
        facts: What it is about: data, threshold and where that comes from, date.
        found: What was measured.

    Raises:
        MissingExtraError: matplotlib or SciPy is not installed.
    """
    report = found.report
    parts = [
        f"<h1>{escape(title)}</h1>",
        '<div class="facts">' + table(("", ""), list(facts.items()), head=False) + "</div>",
        "<h2>Error rates</h2>",
        _rates(report),
        _curves(found),
        "<h2>People</h2>",
        _people(report),
        _wrong(found),
        _missing(found),
        '<p class="faint">A face passes from the threshold on. APCER: part of the attacks of one '
        "kind that pass; BPCER: part of the living faces turned away (ISO/IEC 30107-3); ACER: the "
        "mean of the worst APCER and BPCER; D-EER: where the APCER of all attacks equals BPCER. "
        "Intervals: 95 %, bootstrap over people. Other attacks than these were not measured.</p>",
    ]
    return document(title, "\n".join(part for part in parts if part))


def _rate(rate: Rate) -> str:
    return f"{rate.value:.4f} ({rate.low:.4f}–{rate.high:.4f})"


def _rates(report: AttackReport) -> str:
    rows = [
        (f"APCER, {name}", f"{one.attacks:,}", _rate(one.apcer))
        for name, one in report.per_species.items()
    ]
    rows += [
        ("BPCER", f"{report.n_real:,}", _rate(report.bpcer)),
        ("ACER", "", f"{report.acer:.4f}"),
        ("D-EER", "", f"{report.d_eer:.4f}"),
        ("AUC", "", f"{report.auc:.4f}"),
    ]
    rows += [
        (
            f"BPCER at APCER {aim:.0%}",
            "",
            "insufficient data" if rate is None else f"{rate:.4f}",
        )
        for aim, rate in report.bpcer_at_apcer.items()
    ]
    return f'<div id="rates">{table(("rate", "presentations", "measured"), rows)}</div>'


def _curves(found: LivenessEvaluation) -> str:
    live, species = found.live_scores, found.attack_scores
    curves = {name: attack_curve(live, scores) for name, scores in species.items()}
    det = plots.det(curves, "APCER: attacks that pass", "BPCER: living faces turned away")
    spread = plots.histogram(
        live,
        np.concatenate(list(species.values())),
        {"threshold": found.report.threshold},
        ("living faces", "attacks"),
        "score",
    )
    return (
        '<div class="plots">'
        + figure(det, "det", "DET on normal-deviate axes: down and left is better.")
        + figure(spread, "histogram", f"Scores, {found.model}.")
        + "</div>"
    )


def _people(report: AttackReport) -> str:
    rows = [
        (
            one.person,
            f"{one.live:,}",
            f"{one.turned_away:,}",
            f"{one.attack:,}",
            f"{one.passed:,}",
        )
        for one in report.people
    ]
    columns = ("person", "living faces", "turned away", "attacks", "passed")
    return f'<div id="people">{table(columns, rows)}</div>'


def _wrong(found: LivenessEvaluation) -> str:
    if not found.wrong:
        return "<h2>Pictures judged wrongly</h2>\n<p>None.</p>"
    cards = [
        f'<div class="pair">{thumbnail(path)}<br><b>{score:.4f}</b> {escape(truth)}'
        f'<br><span class="faint">{escape(path)}</span></div>'
        for path, truth, score in found.wrong[:_SHOWN]
    ]
    more = len(found.wrong) - len(cards)
    tail = f'<p class="note">and {more:,} more</p>' if more > 0 else ""
    return (
        f"<h2>Pictures judged wrongly: {len(found.wrong):,}</h2>\n"
        f'<div class="pairs" id="wrong">{"".join(cards)}</div>{tail}'
    )


def _missing(found: LivenessEvaluation) -> str:
    if not found.no_face:
        return ""
    rows = [(path, why) for path, why in found.no_face[:_SHOWN]]
    return f"<h2>No verdict: {len(found.no_face):,}</h2>\n{table(('picture', 'why'), rows)}"

"""``vultus report``: how good is a model on your own pictures? One page that says it all."""

from __future__ import annotations

import csv
import datetime
import json as jsonlib
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from vultus.cli._embedded import progress_bar
from vultus.cli._gallery import opened
from vultus.cli._options import Embedder, Jobs, Json, MinFace, Mirror, job_count
from vultus.cli._output import EXIT_NO, err, out, print_json, safe
from vultus.errors import DataFileError, InsufficientDataError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vultus.evaluate.embeddings import EmbedOptions
    from vultus.evaluate.report import GateCheck, ModelReport, Named
    from vultus.evaluate.robustness import Sweep

__all__ = ["report"]


def report(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A folder with a folder per person, or a gallery."),
    ],
    target: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for index.html and report.json.")
    ],
    pairs: Annotated[
        Path | None,
        typer.Option(help="Compare only the pairs of this list (LFW's format)."),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option("--compare", help="Another model to put beside it; may be repeated."),
    ] = None,
    attributes: Annotated[
        Path | None,
        typer.Option(help="CSV with a column `path` and others to slice by: age, sex, camera …"),
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option("--gate", help="Requirement, such as 'fnmr@fmr=1e-3<0.05'; may be repeated."),
    ] = None,
    face: Annotated[
        str, typer.Option(help="Which of several faces counts: largest or center.")
    ] = "largest",
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also degrade pictures and measure again: slow.")
    ] = False,
    quality: Annotated[
        bool, typer.Option("--quality/--no-quality", help="Measure what discarding is worth.")
    ] = True,
    rounds: Annotated[int, typer.Option(min=20, help="Rounds of the bootstrap.")] = 200,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    min_face: MinFace = 40.0,
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Write a page with error rates, curves and the worst mistakes; exit code 1 if a gate fails."""
    from vultus.evaluate.embeddings import EmbedOptions
    from vultus.evaluate.page import render_page
    from vultus.evaluate.report import parse_gate

    how = _How(rounds, seed, jobs or None, quality, shown=not json)
    if os.path.isdir(source):  # noqa: PTH112 - Path.is_dir raises for some names
        named = _named(Path(source), pairs, attributes)
        models = dict.fromkeys([embedder, *(compare or [])])
        choices = [
            EmbedOptions(model=model, min_face_px=min_face, mirror=mirror, face=_face(face))
            for model in models
        ]
        made = _of_pictures(named, choices, how)
        sweeps = _sweeps(named, embedder, seed, jobs, mirror=mirror, wanted=robustness)
        label, digests = Path(source).name, None
    else:
        _refuse_for_gallery(pairs=pairs, compare=compare, slices=attributes, robustness=robustness)
        label, named, digests, made = _of_gallery(source, how)
        sweeps = []
    gates = [parse_gate(text, made[0]) for text in gate or []]
    notes = _notes(named, made[0], digests)
    facts = _facts(label, named, made[0])
    page = render_page(
        f"Report card: {label}", facts, made, gates=gates, sweeps=sweeps, notes=notes
    )
    content: dict[str, object] = {
        "source": label,
        "facts": facts,
        "notes": notes,
        "models": [one.to_dict() for one in made],
        "gates": [{"text": g.text, "value": g.value, "met": g.met} for g in gates],
        "robustness": [sweep.to_dict() for sweep in sweeps],
    }
    _write(target, page, content)
    _tell(target, made, gates, json=json)
    if not all(g.met for g in gates):
        raise typer.Exit(EXIT_NO)


class _How(NamedTuple):
    """How a report is made, whatever of."""

    rounds: int
    seed: int
    jobs: int | None
    quality: bool
    shown: bool


def _of_pictures(named: Named, choices: Sequence[EmbedOptions], how: _How) -> list[ModelReport]:
    """A report per model; the map of the first only."""
    from vultus.evaluate.quality import picture_quality
    from vultus.evaluate.report import make_report

    made: list[ModelReport] = []
    for options in choices:
        with progress_bar(options.model, shown=how.shown) as tell:
            made.append(
                make_report(
                    named,
                    options,
                    rounds=how.rounds,
                    seed=how.seed,
                    jobs=how.jobs,
                    quality=picture_quality(options, how.jobs) if how.quality else None,
                    with_map=not made,
                    progress=tell,
                )
            )
    return made


def _of_gallery(source: str, how: _How) -> tuple[str, Named, tuple[str, ...], list[ModelReport]]:
    """Where the gallery is, its faces, what identifies each picture, and the report of them."""
    from vultus.evaluate.embeddings import EmbedOptions
    from vultus.evaluate.enrolled import enrolled_faces
    from vultus.evaluate.report import Named, make_report

    with opened(source) as gallery:
        location, faces = gallery.info().location, enrolled_faces(gallery)
    named = Named(faces.names, faces.people)
    made = make_report(
        named,
        EmbedOptions(model=faces.embedded.space.model),
        rounds=how.rounds,
        seed=how.seed,
        quality=(lambda _: faces.quality) if how.quality else None,
        embedded=faces.embedded,
    )
    return location, named, faces.embedded.digests, [made]


def _refuse_for_gallery(**options: object) -> None:
    """A gallery has neither lists nor pictures to look at again."""
    given = [f"--{'attributes' if name == 'slices' else name}" for name in options if options[name]]
    if given:
        raise typer.BadParameter(f"{', '.join(given)}: for a folder of pictures, not a gallery")


def _named(folder: Path, pairs: Path | None, attributes: Path | None) -> Named:
    import numpy as np

    from vultus.evaluate.protocols.lfw import PictureTree, read_pairs
    from vultus.evaluate.report import Named
    from vultus.sources import people_tree

    if pairs is not None:
        tree, listed = PictureTree(folder), read_pairs(pairs)
        pictures = listed.pictures
        row = {picture: i for i, picture in enumerate(pictures)}
        paths = tuple(tree.path(picture) for picture in pictures)
        people = tuple(picture.person for picture in pictures)
        rows = np.array([(row[p.first], row[p.second]) for p in listed.pairs], np.intp)
        return Named(paths, people, _attributes(attributes, folder, paths), rows)
    found = [(person, path) for person, paths in people_tree(folder) for path in paths]
    if not found:
        raise InsufficientDataError(f"{folder} holds no pictures", path=str(folder))
    paths = tuple(path for _, path in found)
    return Named(
        paths,
        tuple(person for person, _ in found),
        _attributes(attributes, folder, paths),
    )


def _attributes(
    file: Path | None, folder: Path, paths: Sequence[Path]
) -> dict[str, tuple[str, ...]]:
    """Columns of a CSV by picture; pictures it does not name have empty values."""
    if file is None:
        return {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataFileError(f"{file} cannot be read: {error}", path=str(file)) from error
    if not rows or "path" not in rows[0]:
        raise DataFileError(f"{file} must be CSV with a column `path`", path=str(file))
    by_path = {str(folder / row["path"]): row for row in rows}
    columns = [name for name in rows[0] if name and name != "path"]
    known = [by_path.get(str(path), {}) for path in paths]
    if not any(known):
        raise DataFileError(
            f"{file} names none of the pictures of {folder}",
            remedy=f"write paths relative to {folder}",
            path=str(file),
        )
    return {name: tuple(str(row.get(name) or "") for row in known) for name in columns}


def _face(name: str) -> Literal["center", "largest"]:
    if name == "largest":
        return "largest"
    if name != "center":
        raise typer.BadParameter(f"must be largest or center, got {name!r}")
    return "center"


def _sweeps(
    named: Named, embedder: str, seed: int, jobs: int, *, mirror: bool, wanted: bool
) -> list[Sweep]:
    if not wanted:
        return []
    from vultus.cli._options import recognizer
    from vultus.evaluate.robustness import measure_robustness

    workers = job_count([Path("*")], jobs)
    found = recognizer(min_face=20.0, embedder=embedder, mirror=mirror, jobs=max(2, workers))
    with err.status("measuring robustness"):
        return measure_robustness(named.paths, named.people, found, seed=seed, jobs=workers)


def _facts(source: str, named: Named, made: ModelReport) -> dict[str, str]:
    from vultus import __version__

    people = Counter(named.people)
    return {
        "source": source,
        "pictures": f"{len(named.paths):,}, of which {len(made.failures):,} gave no embedding",
        "people": f"{len(people):,}, of whom {sum(n == 1 for n in people.values()):,} with one "
        "picture",
        "comparisons": "every picture with every other"
        if named.pairs is None
        else f"{len(named.pairs):,} pairs of a list",
        "model": made.space,
        "made": f"{datetime.date.today().isoformat()} by vultus {__version__}",
    }


def _notes(named: Named, made: ModelReport, digests: Sequence[str] | None) -> list[str]:
    from vultus.evaluate.protocols._tree import digests_of, repeated

    notes = []
    leaks = repeated(named.paths, named.people, digests or digests_of(named.paths))
    for leak in [leak for leak in leaks if len(leak.people) > 1][:20]:
        files = ", ".join(leak.paths)
        notes.append(f"The same picture under different names spoils the lowest rates: {files}")
    if made.sampled is not None:
        notes.append(
            f"A million of {made.sampled:,} impostor pairs were drawn at random; "
            "`vultus calibrate` uses all."
        )
    return notes


def _write(target: Path, page: str, content: dict[str, object]) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / "index.html").write_text(page, encoding="utf-8")
        text = jsonlib.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
        (target / "report.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error}", path=str(target)) from error


def _tell(
    target: Path, made: Sequence[ModelReport], gates: Sequence[GateCheck], *, json: bool
) -> None:
    if json:
        print_json(
            {
                "page": str(target / "index.html"),
                "report": str(target / "report.json"),
                "gates": [{"text": g.text, "value": g.value, "met": g.met} for g in gates],
            }
        )
        return
    for one in made:
        rates = one.verification
        equal = rates.equal_error_rate
        eer = equal if isinstance(equal, float) else equal.value
        points = "; ".join(
            f"FNMR {p.fnmr:.4f} at FMR {p.target_fmr:g}" for p in rates.points if p.dependable
        )
        out.print(f"[bold]{safe(one.model)}[/]: EER {eer:.4f}; {points}", soft_wrap=True)
    for check in gates:
        value = "insufficient data" if check.value is None else f"{check.value:.4g}"
        colour = "green" if check.met else "red"
        out.print(f"[{colour}]{'met' if check.met else 'NOT met'}[/] {safe(check.text)}: {value}")
    out.print(f"written: {safe(target / 'index.html')}, {safe(target / 'report.json')}")

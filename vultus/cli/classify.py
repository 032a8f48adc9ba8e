"""``vultus classify``: train a classifier on a folder of people, and name faces with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vultus.cli._embedded import embedded_people
from vultus.cli._options import (
    AnyTurn,
    Done,
    Embedder,
    Jobs,
    Json,
    MinFace,
    Mirror,
    job_count,
    pictures,
    recognizer,
)
from vultus.cli._output import (
    EXIT_SOME_FAILED,
    end,
    error_object,
    face_object,
    fail,
    out,
    print_json,
    safe,
)
from vultus.errors import CardError, InsufficientDataError

if TYPE_CHECKING:
    from vultus.classify import Classifier, Kind, Prediction
    from vultus.types import EmbeddingSpace, Face, Frame

__all__ = ["app"]

app = typer.Typer()


@app.command("train")
def train_classifier(
    folder: Annotated[Path, typer.Argument(help="A folder with a folder of pictures per person.")],
    model: Annotated[
        Path, typer.Option("--out", "-o", help="Where the classifier is written, such as a.npz.")
    ],
    kind: Annotated[
        str,
        typer.Option(help="svm, svm-rbf (with a grid search), logistic, knn or centroid."),
    ] = "svm",
    min_images: Annotated[
        int, typer.Option(min=1, help="People with fewer pictures are left out.")
    ] = 2,
    train_images: Annotated[
        int | None,
        typer.Option(min=1, help="Train on so many pictures of each person, test on the rest."),
    ] = None,
    unknown_rate: Annotated[
        float, typer.Option(help="Part of strangers' faces that may get a name.")
    ] = 0.01,
    reject: Annotated[
        bool, typer.Option("--reject/--no-reject", help="Say nobody to faces of strangers.")
    ] = True,
    neighbours: Annotated[int, typer.Option(min=1, help="For knn: how many vote.")] = 5,
    seed: Annotated[int, typer.Option(help="Of every split.")] = 666,
    min_face: MinFace = 40.0,
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Train on a folder of people; the largest face of each picture counts."""
    import numpy as np

    from vultus.classify import TrainOptions, split_by_count, train
    from vultus.evaluate.embeddings import EmbedOptions
    from vultus.sources import people_tree

    options = TrainOptions(min_images, unknown_rate if reject else None, neighbours, None, seed)
    checked = _kind(kind)
    named = [(person, path) for person, paths in people_tree(folder) for path in paths]
    how = EmbedOptions(model=embedder, min_face_px=min_face, mirror=mirror, face="largest")
    found = embedded_people(named, how, shown=not json, jobs=jobs)
    rows, rest = np.arange(len(found.people)), np.zeros(0, np.int64)
    if train_images is not None:
        rows, rest = split_by_count(
            found.people, min_images=min_images, train_images=train_images, seed=seed
        )
        if len(rows) == 0:
            raise InsufficientDataError(f"nobody has {min_images} pictures")
        options = TrainOptions(1, options.unknown_rate, neighbours, None, seed)
    people = [found.people[i] for i in rows]
    made = train(found.vectors[rows], people, found.space, checked, options)
    made.save(model)
    tested = _tested(made, found.vectors[rest], [found.people[i] for i in rest])
    _tell_training(made, model, tested, found.failed, json=json)
    if found.failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _kind(name: str) -> Kind:
    from vultus.classify import KINDS

    for kind in KINDS:
        if kind == name:
            return kind
    raise typer.BadParameter(f"must be one of {', '.join(KINDS)}, got {name!r}")


def _tested(made: Classifier, vectors: object, people: list[str]) -> dict[str, object] | None:
    """Accuracy on the pictures kept out of training: the nearest person, and after rejection."""
    import numpy as np

    if not people:
        return None
    scores = made.scores(np.asarray(vectors, np.float32))
    nearest = [made.people[i] for i in scores.argmax(axis=1)]
    kept = scores.max(axis=1) >= made.reject_below
    right = np.array([a == b for a, b in zip(nearest, people, strict=True)])
    return {
        "images": len(people),
        "accuracy": round(float(right.mean()), 6),
        "named_right": int((right & kept).sum()),
        "named_wrong": int((~right & kept).sum()),
        "rejected": int((~kept).sum()),
    }


def _tell_training(
    made: Classifier, path: Path, tested: dict[str, object] | None, failed: int, *, json: bool
) -> None:
    if json:
        print_json(
            {
                "model": str(path),
                "kind": made.kind,
                "space": made.space.id,
                "settings": dict(made.settings),
                "failed": failed,
                "test": tested,
                **made.report,
            }
        )
        return
    report = made.report
    out.print(
        f"[bold]{safe(path)}[/]: {made.kind}, {report['people']} people, "
        f"{report['images']} pictures",
        soft_wrap=True,
    )
    if left_out := report["left_out"]:
        out.print(f"[dim]too few pictures:[/] {safe(', '.join(left_out))}", soft_wrap=True)
    if report["unknown_rate"] is not None:
        out.print(
            f"held out: of {report['held_out_known']} known faces "
            f"{report['held_out_known_right']} named right, {report['held_out_known_wrong']} "
            f"wrong, {report['held_out_known_rejected']} rejected; of {report['held_out_unknown']} "
            f"strangers {report['held_out_unknown_named']} got a name",
            soft_wrap=True,
        )
    if tested:
        out.print(
            f"test: {tested['images']} pictures, accuracy {tested['accuracy']:.4f} without "
            f"rejection; {tested['named_right']} right, {tested['named_wrong']} wrong, "
            f"{tested['rejected']} rejected with it",
            soft_wrap=True,
        )


@app.command("predict")
def predict(
    model: Annotated[Path, typer.Argument(help="What `train` wrote.")],
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTOS…", help="Pictures, folders or patterns.")
    ],
    min_face: MinFace = 40.0,
    any_turn: AnyTurn = False,
    json: Json = False,
    jobs: Jobs = 0,
) -> None:
    """Name the faces of photos; faces of strangers are nobody."""
    from vultus.classify import Classifier

    classifier = Classifier.load(model)
    workers = job_count(photos, jobs)
    found = recognizer(
        min_face=min_face,
        embedder=classifier.space.model,
        mirror=classifier.space.preprocessing.endswith("+mirror"),
        jobs=workers,
    )
    _check_same(found.embedder.space, classifier.space)

    def work(frame: Frame) -> tuple[list[Face], object]:
        faces = found.detect(frame, any_turn=any_turn)
        return faces, classifier.predict(found.embed(faces))

    count = failed = 0
    each = pictures(photos, work, jobs=workers, shown=not json, label="classifying")
    for done in each:
        count, failed = count + 1, failed + bool(done.error)
        predictions = cast("list[Prediction]", done.value or [])
        if json:
            print_json(_object(done, predictions))
        elif done.error:
            fail(done.error)
        else:
            names = ", ".join(_words(p) for p in predictions) or "no face"
            out.print(f"{safe(done.path)}: {names}", soft_wrap=True)
    end(failed, count)


def _check_same(actual: EmbeddingSpace, expected: EmbeddingSpace) -> None:
    if actual != expected:
        raise CardError(
            f"the classifier was trained on {expected}, this machine has {actual}",
            remedy="install the model it was trained with, or train anew",
            expected=expected.id,
            actual=actual.id,
        )


def _words(prediction: Prediction) -> str:
    name = "nobody known" if prediction.person is None else safe(prediction.person)
    return f"{name} ({prediction.confidence:.2f})"


def _object(done: Done, predictions: list[Prediction]) -> dict[str, object]:
    faces = [
        {
            **face_object(face),
            "name": prediction.person,
            "nearest": prediction.nearest,
            "decision_value": round(prediction.score, 6),
            "confidence": round(prediction.confidence, 6),
        }
        for face, prediction in zip(done.faces, predictions, strict=True)
    ]
    return {"image": str(done.path), "faces": faces, "error": error_object(done.error)}

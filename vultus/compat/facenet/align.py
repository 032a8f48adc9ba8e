"""``align``: cuts the faces of a data set out with MTCNN, as ``align_dataset_mtcnn.py`` does."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import vultus
from vultus.compat.facenet.dataset import ImageClass, read_dataset
from vultus.compat.facenet.faces import check_crop, detector, margin_crop, png_bytes
from vultus.compat.facenet.files import make_folder, replace_file
from vultus.compat.facenet.shared_work import SharedWork
from vultus.compat.facenet.talk import Talk
from vultus.detect.mtcnn import Mtcnn
from vultus.errors import ImageError, OutputError
from vultus.evaluate.embeddings import central_face
from vultus.models import Registry
from vultus.runtime import default_threads, ordered_map
from vultus.sources import load_frame
from vultus.types import Face

__all__ = ["AlignOptions", "Aligned", "align"]

_MOST_NAMES = 100_000  # that five digits make


@dataclass(frozen=True, slots=True)
class AlignOptions:
    """The options of ``align_dataset_mtcnn.py``.

    Attributes:
        image_size: Side of the crops, in pixels.
        margin: By how much the box grows, in pixels of the picture; half of it on each side.
        random_order: Shuffle classes, and pictures of classes nobody has begun.
        detect_multiple_faces: Cut every face out, not only the one in the middle.
        jobs: Pictures at a time; ``None``: one per CPU.

    Raises:
        RangeError: A size or margin that no crop can have.
    """

    image_size: int = 182
    margin: float = 44
    random_order: bool = False
    detect_multiple_faces: bool = False
    jobs: int | None = None

    def __post_init__(self) -> None:
        check_crop(self.image_size, self.margin)


class Aligned(NamedTuple):
    """What `align` did.

    Attributes:
        total: Pictures that were looked at, those done before included.
        aligned: Crops that this call wrote.
        boxes: The file of bounding boxes that this call wrote.
    """

    total: int
    aligned: int
    boxes: Path


class _Task(NamedTuple):
    """One picture: where it lies, and what its crop is called."""

    path: Path
    target: Path
    claimed: bool


class _Crop(NamedTuple):
    """One face of a picture: its file, what goes into it, and its line among the boxes."""

    target: Path
    data: bytes
    line: str


class _Done(NamedTuple):
    """What became of a picture.

    Attributes:
        task: Which.
        crops: Its faces, not yet written.
        words: What is said of it, if anything.
        line: For the file of bounding boxes, where there is no crop.
    """

    task: _Task
    crops: tuple[_Crop, ...] = ()
    words: str = ""
    line: str = ""


def align(
    input_dir: Path,
    output_dir: Path,
    options: AlignOptions | None = None,
    *,
    talk: Talk,
    arguments: str = "",
) -> Aligned:
    """Cut the faces of a data set out into a folder of the same classes.

    Several processes may work on one folder at a time: each picture is worked on by one of them,
    and by another one if that dies. What is there already is left as it is, so a run that broke
    off is taken up where it ended.

    Args:
        input_dir: One folder of pictures per class.
        output_dir: Made when absent.
        options: See `AlignOptions`.
        talk: Where words go.
        arguments: Written into ``revision_info.txt``.

    Raises:
        ImageNotFoundError: `input_dir` is no folder.
        OutputError: Something cannot be written.
    """
    options = options or AlignOptions()
    dataset = read_dataset(input_dir)
    make_folder(output_dir)
    _write_revision(output_dir, arguments)
    talk.line("Creating networks and loading parameters")
    find = detector()
    jobs = default_threads() if options.jobs is None else options.jobs
    with ExitStack() as stack:
        boxes, path = _new_boxes_file(output_dir)
        stack.enter_context(boxes)
        run = _Run(stack.enter_context(SharedWork(output_dir)), options, find, boxes, talk)
        for done in ordered_map(run.work, run.tasks(dataset, output_dir), jobs):
            run.keep(done)
        run.finish_deferred()
    talk.line(f"Total number of images: {run.total}")
    talk.line(f"Number of successfully aligned images: {run.aligned}")
    return Aligned(run.total, run.aligned, path)


class _Run:
    """One process's part of the work."""

    def __init__(
        self, shared: SharedWork, options: AlignOptions, find: Mtcnn, boxes: IO[str], talk: Talk
    ) -> None:
        self.total = self.aligned = 0
        self._shared, self._options, self._find = shared, options, find
        self._boxes, self._talk = boxes, talk
        self._deferred: list[_Task] = []

    def tasks(self, dataset: Sequence[ImageClass], output_dir: Path) -> Iterator[_Task]:
        """Every picture but those another process is at; these are kept for the end."""
        mixed = random.SystemRandom()
        classes = list(dataset)
        if self._options.random_order:
            mixed.shuffle(classes)
        for one in classes:
            folder, paths = output_dir / one.name, list(one.paths)
            if not folder.is_dir():
                make_folder(folder)
                if self._options.random_order:
                    mixed.shuffle(paths)
            for path in paths:
                task = _Task(path, folder / f"{path.stem}.png", claimed=False)
                if self._is_done(task):
                    yield task
                elif not self._shared.claim(_piece(task)):
                    self._deferred.append(task)
                elif self._is_done(task):  # since we looked
                    self._shared.release(_piece(task))
                    yield task
                else:
                    yield task._replace(claimed=True)

    def work(self, task: _Task) -> _Done:
        """Cut one picture's faces out; runs on any thread."""
        if not task.claimed:
            return _Done(task)
        try:
            frame = load_frame(task.path)
        except ImageError as error:
            return _Done(task, words=f"{task.path}: {error}\n")
        crops = _crops(self._find.detect(frame), task.target, self._options)
        if not crops:
            words = f'Unable to align "{task.path}"\n'
            return _Done(task, words=words, line=f"{task.target}\n")
        return _Done(task, crops)

    def keep(self, done: _Done) -> None:
        """Write what became of a picture, tell it, and let it go.

        Files and lines are written here, one right after the other, so that an interruption
        hardly ever parts them.
        """
        self.total += 1
        self._talk.line(str(done.task.path))
        self._talk.out(done.words)
        if not done.task.claimed:
            return
        for crop in reversed(done.crops):  # the first one last: once it is there, all are
            replace_file(crop.target, partial(Path.write_bytes, data=crop.data))
        self._boxes.write(done.line + "".join(crop.line for crop in done.crops))
        self._boxes.flush()
        self.aligned += len(done.crops)
        if not done.crops:  # no file tells the others
            self._shared.finish(_name(done.task))
        self._shared.release(_piece(done.task))

    def finish_deferred(self) -> None:
        """Wait for what others were at, and do what they left."""
        for task in self._deferred:
            if not self._is_done(task):
                self._shared.wait_for(_piece(task))
                if self._is_done(task):
                    self._shared.release(_piece(task))
                else:
                    task = task._replace(claimed=True)  # noqa: PLW2901 - the same picture
            self.keep(self.work(task))

    def _is_done(self, task: _Task) -> bool:
        first = task.target
        if self._options.detect_multiple_faces:
            first = first.with_name(f"{first.stem}_0.png")
        return first.exists() or self._shared.is_finished(_name(task))


def _crops(faces: Sequence[Face], target: Path, options: AlignOptions) -> tuple[_Crop, ...]:
    """The crops of one picture, encoded."""
    if not options.detect_multiple_faces:
        faces = [central_face(faces)] if faces else []
    cut = (margin_crop(f.frame, f.box, options.image_size, options.margin) for f in faces)
    made = []
    for i, crop in enumerate(crop for crop in cut if crop is not None):
        place = target
        if options.detect_multiple_faces:
            place = target.with_name(f"{target.stem}_{i}.png")
        line = f"{place} {' '.join(map(str, crop.box))}\n"
        made.append(_Crop(place, png_bytes(crop.image), line))
    return tuple(made)


def _piece(task: _Task) -> str:
    """What a process claims: a crop's name, which two pictures may share."""
    return f"{task.target.parent.name}/{task.target.name}"


def _name(task: _Task) -> str:
    """What is told of in the journal: a picture's name."""
    return f"{task.path.parent.name}/{task.path.name}"


def _write_revision(folder: Path, arguments: str) -> None:
    """What made the crops, as the original's ``revision_info.txt`` says it, for vultus."""
    digests = [weight.sha256[:12] for weight in Registry().get("mtcnn").weights]
    bar = "-" * 20
    text = (
        f"arguments: {arguments}\n{bar}\nvultus version: {vultus.__version__}\n{bar}\n"
        f"detector: mtcnn {' '.join(digests)}\n"
    )
    replace_file(
        folder / "revision_info.txt",
        lambda path: path.write_text(text, encoding="utf-8", errors="backslashreplace"),
    )


def _new_boxes_file(folder: Path) -> tuple[IO[str], Path]:
    """A file of bounding boxes that no other process has."""
    for _ in range(_MOST_NAMES):
        path = folder / f"bounding_boxes_{secrets.randbelow(_MOST_NAMES):05d}.txt"
        try:
            return path.open("x", encoding="utf-8", errors="surrogateescape"), path
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    raise OutputError(f"{folder} is full of bounding_boxes_*.txt; remove them")

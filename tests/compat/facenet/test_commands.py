"""The command lines: names, positions, defaults, both spellings of options, bad input."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.main import get_command

from vultus import cli

PAGE = Path(__file__).parents[3] / "docs" / "migrating.md"

# Positions and options with their defaults, as the contract lists them.
CONTRACT: dict[str, tuple[list[str], dict[str, Any]]] = {
    "align": (
        ["input_dir", "output_dir"],
        {
            "--image_size": 182, "--margin": 44, "--random_order": False,
            "--gpu_memory_fraction": 1.0, "--detect_multiple_faces": "False",
        },
    ),
    "validate-on-lfw": (
        ["lfw_dir", "model"],
        {
            "--lfw_batch_size": 100, "--image_size": 160, "--lfw_pairs": Path("data/pairs.txt"),
            "--lfw_nrof_folds": 10, "--distance_metric": 0, "--use_flipped_images": False,
            "--subtract_mean": False, "--use_fixed_image_standardization": False,
        },
    ),
    "compare": (
        ["model", "image_files"],
        {"--image_size": 160, "--margin": 44, "--gpu_memory_fraction": 1.0},
    ),
    "classifier": (
        ["mode", "data_dir", "model", "classifier_filename"],
        {
            "--use_split_dataset": False, "--test_data_dir": None, "--batch_size": 90,
            "--image_size": 160, "--seed": 666, "--min_nrof_images_per_class": 20,
            "--nrof_train_images_per_class": 10,
        },
    ),
    "cluster": (
        ["model", "data_dir", "out_dir"],
        {
            "--image_size": 160, "--margin": 44, "--min_cluster_size": 1,
            "--cluster_threshold": None,  # 1.0 there: of facenet's own embeddings
            "--largest_cluster_only": False, "--gpu_memory_fraction": 1.0,
        },
    ),
    "clustering": ([], {"--batch_size": 30}),
    "export-embeddings": (
        ["model_dir", "data_dir"],
        {
            "--is_aligned": "True", "--image_size": 160, "--margin": 44,
            "--gpu_memory_fraction": 1.0, "--image_batch": 500,
            "--embeddings_name": "embeddings.npy", "--labels_name": "labels.npy",
            "--labels_strings_name": "label_strings.npy",
        },
    ),
    "batch-represent": ([], {"--batch_size": 50}),
    "predict": (
        ["image_files", "model", "classifier_filename"],
        {"--image_size": 160, "--seed": 666, "--margin": 44, "--gpu_memory_fraction": 1.0},
    ),
    "calculate-filtering-metrics": (
        ["dataset_dir", "model_file", "data_file_name"],
        {"--image_size": 160, "--batch_size": 90},
    ),
    "freeze": (["model_dir", "output_file"], {}),
}  # fmt: skip
REQUIRED = {
    "clustering": {"--model_dir", "--input", "--output"},
    "batch-represent": {"--data_dir", "-d", "--output_dir", "-o", "--trained_model_dir"},
}
OURS = {
    "align": {"--jobs", "-j"},
    "clustering": {"--threshold"},
}


def commands() -> dict[str, Any]:
    group: Any = get_command(cli.app)
    found: dict[str, Any] = group.commands["facenet"].commands
    return found


def test_every_command_is_there():
    assert set(commands()) == {*CONTRACT, "plot-learning-curves"}


@pytest.mark.parametrize("name", CONTRACT)
def test_positions_options_and_defaults(name):
    positions, defaults = CONTRACT[name]
    params = commands()[name].params
    arguments = [p.name for p in params if p.param_type_name == "argument"]
    assert arguments == positions
    options = {flag: p for p in params if p.param_type_name == "option" for flag in p.opts}
    assert {flag: options[flag].default for flag in defaults} == defaults
    required = {flag for flag, p in options.items() if p.required}
    assert required == REQUIRED.get(name, set())
    more = set(options) - set(defaults) - required - {"--help", "-h"}
    assert more == OURS.get(name, set())


def test_both_spellings(vultus, photos: Path):
    words = ["facenet", "compare", "dlib-resnet-v1", photos / "obama2.jpg", photos / "obama3.jpg"]
    with_underscore = vultus(*words, "--image_size", 150, "--gpu_memory_fraction", 0.5)
    assert (with_underscore.code, with_underscore.err) == (0, "")
    with_hyphen = vultus(*words, "--image-size", 150, "--gpu-memory-fraction=0.5")
    assert with_hyphen == with_underscore
    assert with_hyphen.out.splitlines()[:2] == [
        "Creating networks and loading parameters",
        "Model filename: dlib-resnet-v1",
    ]


def test_the_whole_way(vultus, tree: Path, photos: Path, tmp_path: Path):
    """Align, train, classify, predict, as a tutorial of facenet does it."""
    pytest.importorskip("sklearn", reason="pip install 'vultus[evaluate]'")
    crops, model = tmp_path / "crops", tmp_path / "c.pkl"
    ended = vultus("facenet", "align", tree, crops, "--image_size", 160, "--margin", 32)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("Number of successfully aligned images: 5\n")
    with Image.open(crops / "Joe_Biden" / "b.png") as crop:
        assert crop.size == (160, 160)
    ended = vultus("facenet", "classifier", "TRAIN", crops, "dlib-resnet-v1", model)
    assert (ended.code, ended.err) == (0, "")
    ended = vultus("facenet", "classifier", "CLASSIFY", crops, "dlib-resnet-v1", model)
    assert ended.out.endswith("Accuracy: 1.000\n")
    ended = vultus("facenet", "predict", photos / "obama3.jpg", "dlib-resnet-v1", model)
    assert ended.out.splitlines()[-1].startswith("Barack Obama: 0.")


def test_the_home_is_expanded(vultus, photos: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    shutil.copy(photos / "obama2.jpg", tmp_path / "a.jpg")
    ended = vultus("facenet", "compare", "dlib-resnet-v1", "~/a.jpg")
    assert f"0: {tmp_path / 'a.jpg'}\n" in ended.out


def test_a_classifier_of_vultus_classify(vultus, tree: Path, photos: Path, tmp_path: Path):
    pytest.importorskip("sklearn", reason="pip install 'vultus[evaluate]'")
    model, photo = tmp_path / "c.npz", photos / "obama3.jpg"
    words = ["classify", "train", tree, "-o", model, "--kind", "logistic", "--no-reject"]
    assert vultus(*words, "--no-mirror", "--min-images", 1).code == 0
    ended = vultus("facenet", "predict", photo, "dlib-resnet-v1", model)
    assert ended.out.splitlines()[-1].startswith("Barack_Obama: 0.")
    assert vultus(*words, "--min-images", 1).code == 0  # mirrored: another space
    ended = vultus("facenet", "predict", photo, "dlib-resnet-v1", model)
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith("error space-mismatch: ")


@pytest.mark.parametrize(
    ("word", "crops"),
    [("False", ["wall.png"]), ("True", ["wall_0.png", "wall_1.png", "wall_2.png"])],
)
def test_false_means_false(vultus, photos: Path, tmp_path: Path, word, crops):
    """Of the original, any word at all means True."""
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "wall.jpg").write_bytes((photos / "wall.jpg").read_bytes())
    out = tmp_path / "out"
    assert (
        vultus("facenet", "align", tmp_path / "in", out, "--detect_multiple_faces", word).code == 0
    )
    assert sorted(path.name for path in (out / "a").iterdir()) == crops


def test_true_means_true(vultus, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the original, any word at all for --is_aligned means that pictures are not."""
    monkeypatch.chdir(tmp_path)
    words = ("facenet", "export-embeddings", "dlib-resnet-v1", tree, "--is_aligned")
    assert "Creating networks" not in vultus(*words, "True").out
    assert "Creating networks" in vultus(*words, "False").out


@pytest.mark.parametrize(
    "words",
    [
        ["align"],
        ["align", "a", "b", "--detect_multiple_faces", "maybe"],
        ["align", "a", "b", "--image_size", "large"],
        ["classifier", "PREDICT", "a", "b", "c"],
        ["export-embeddings", "a", "b", "--is_aligned", "perhaps"],
        ["export-embeddings", "a", "b", "--image_batch", "0"],
        ["clustering", "--input", "a", "--output", "b"],
        ["batch-represent", "-d", "a", "-o", "b"],
        ["predict", "a", "b"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage(vultus, words):
    assert vultus("facenet", *words).code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["align", "{no}", "{tmp}/out"], "image-not-found"),
        (["align", "{tmp}", "{tmp}/out"], "insufficient-data"),
        (["align", "{tmp}", "{tmp}/out", "--image_size", "0"], "value-range"),
        (["validate-on-lfw", "{tmp}", "dlib-resnet-v1"], "data-file"),
        (["compare", "20180402-114759.pb", "{tmp}/a.jpg"], "model"),
        (["compare", "20180402-114759", "{tmp}/a.jpg"], "model-unknown"),
        (["compare", "dlib-resnet-v1", "{tmp}/a.jpg"], "image-not-found"),
        (["classifier", "CLASSIFY", "{tmp}", "dlib-resnet-v1", "{no}"], "data-file"),
        (["cluster", "dlib-resnet-v1", "{no}", "{tmp}/out"], "image-not-found"),
        (["export-embeddings", "dlib-resnet-v1", "{no}"], "image-not-found"),
        (["predict", "{tmp}/a.jpg", "dlib-resnet-v1", "{no}"], "data-file"),
        (["freeze", "dlib-resnet-v1", "{tmp}/a.pb"], "output-failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_bad_input_is_told_in_one_line(vultus, tmp_path: Path, words, code):
    known = {"tmp": tmp_path, "no": tmp_path / "no"}
    ended = vultus("facenet", *[word.format(**known) for word in words])
    assert ended.code == 4
    assert ended.err.startswith(f"error {code}: ")


def test_names_cannot_drive_the_terminal(vultus, photos: Path, tmp_path: Path):
    path = tmp_path / "a\x1b[31m.jpg"
    path.write_bytes((photos / "obama2.jpg").read_bytes())
    ended = vultus("facenet", "compare", "dlib-resnet-v1", path)
    assert "\x1b" not in ended.out
    assert "a\N{REPLACEMENT CHARACTER}[31m.jpg" in ended.out


def test_the_pages_example(vultus, samples: Path, tmp_path: Path, monkeypatch):
    shutil.copytree(samples / "known", tmp_path / "known")
    shutil.copytree(samples / "photos", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    (block,) = [block for block in blocks if block.startswith("$ vultus facenet")]
    command, _, shown = block.partition("\n")
    ended = vultus(*shlex.split(command.removeprefix("$ vultus ")))
    number = re.compile(r"\d\.\d{4}")
    assert number.split(ended.out) == number.split(shown)
    pairs = zip(number.findall(ended.out), number.findall(shown), strict=True)
    assert all(float(a) == pytest.approx(float(b), rel=2e-3) for a, b in pairs)


def test_the_contracts_options_are_documented():
    page = PAGE.read_text("utf-8")
    for name, (positions, defaults) in CONTRACT.items():
        assert f"`vultus facenet {name}`" in page, name
        for word in (*positions, *defaults, *REQUIRED.get(name, ()), *OURS.get(name, ())):
            assert f"`{word}" in page or f" {word}`" in page, f"{name} {word}"

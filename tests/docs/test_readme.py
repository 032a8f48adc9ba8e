"""The documents tell the truth: snippets print what is shown, commands exist, links lead somewhere.

``VULTUS_REWRITE_DOCS=1`` makes the test of the snippets write new outputs into the pages.
"""

import contextlib
import inspect
import io
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import vultus
from vultus import cli, errors
from vultus.cli import _output
from vultus.decide import threshold_for
from vultus.models import Registry, parse_card, space_of
from vultus.samples import known_dir, photos_dir

ROOT = Path(__file__).resolve().parents[2]
README, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
CLI, LIBRARY = ROOT / "docs" / "cli.md", ROOT / "docs" / "library.md"
PAGES = [
    README,
    CHINESE,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
RUN = [page for page in PAGES if page != CHINESE]  # it has the blocks of README.md
REWRITE = os.environ.get("VULTUS_REWRITE_DOCS") == "1"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
USAGE = re.compile(r"`(vultus [^`]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

ANY = "…"
"""In a JSON block: any text within a string, any further items of a list."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    line: int


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its blocks."""
    return FENCE.sub("", read(page))


def blocks(page: Path) -> list[Block]:
    text = read(page)
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 2)
        for found in FENCE.finditer(text)
    ]


def shell(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output shown below it."""
    parts = re.split(r"^\$ (.+)\n", block.text, flags=re.MULTILINE)
    assert parts[0] == "", f"line {block.line}: a console block begins with a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def of_pages(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


# -- snippets ---------------------------------------------------------------------------------


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sample pictures under the names the pages use."""
    shutil.copytree(known_dir(), tmp_path / "known")
    shutil.copytree(photos_dir(), tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VULTUS_OFFLINE", "1")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return tmp_path


def run_command(command: str) -> str:
    """What a vultus command prints on standard output."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        cli.main(shlex.split(command)[1:])
    return output.getvalue()


def run_python(block: Block, page: Path, namespace: dict[str, object]) -> str:
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(code, namespace)  # noqa: S102 - our own pages
    return output.getvalue()


def alike(shown: str, printed: str) -> bool:
    """Equal words, and numbers within 0.2 per cent: libraries that read JPEG differ a little."""
    if NUMBER.split(shown) != NUMBER.split(printed):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=2e-3) for a, b in pairs)


def differences(shown: Any, found: Any, where: str = "") -> Iterator[str]:
    """What differs between a JSON block and the real answer."""
    if isinstance(shown, dict) and isinstance(found, dict):
        if list(shown) != list(found):
            yield f"{where or 'the object'} has {list(found)}"
            return
        for key, value in shown.items():
            yield from differences(value, found[key], f"{where}.{key}")
    elif isinstance(shown, list) and isinstance(found, list):
        if shown and shown[-1] == ANY:
            shown = shown[:-1]
            found = found[: len(shown)]
        if len(shown) != len(found):
            yield f"{where} has {len(found)} items"
        for number, (one, other) in enumerate(zip(shown, found, strict=False)):
            yield from differences(one, other, f"{where}[{number}]")
    elif isinstance(shown, str) and isinstance(found, str):
        pattern = ".*".join(re.escape(part) for part in shown.split(ANY))
        if not re.fullmatch(pattern, found, re.DOTALL):
            yield f"{where} is {found!r}"
    elif type(shown) in {int, float} and type(found) in {int, float}:
        if shown != pytest.approx(found, rel=2e-3):
            yield f"{where} is {found}"
    elif shown != found:
        yield f"{where} is {found!r}"


def first_document(output: str) -> object:
    """The answer as a whole, or its first line."""
    try:
        return json.loads(output)
    except json.JSONDecodeError:
        return json.loads(output.splitlines()[0])


def printed_by(page: Path) -> Iterator[tuple[Block, str]]:
    """Every block that shows output, with what is really printed; runs the page from top to end."""
    namespace: dict[str, object] = {"__name__": page.stem}
    found = blocks(page)
    for block, after in itertools.pairwise([*found, Block("", "", 0)]):
        if block.language == "python":
            printed = run_python(block, page, namespace)
            if printed or after.language == "text":
                yield after, printed
        elif block.language == "console":
            rebuilt = printed = ""
            for command, shown in shell(block):
                wanted = shown or after.language == "json"
                vultus_runs = command.startswith("vultus ") and wanted
                printed = run_command(command) if vultus_runs else ""
                rebuilt += f"$ {command}\n{printed if shown else ''}"
            yield block, rebuilt
            if after.language == "json":
                yield after, printed


@of_pages(RUN)
def test_snippets_print_what_the_page_shows(page: Path, workplace: Path) -> None:
    wrong: list[str] = []
    updates: dict[str, str] = {}
    for block, printed in printed_by(page):
        if block.language == "json":
            problems = differences(json.loads(block.text), first_document(printed))
            wrong += [f"line {block.line}: {problem}" for problem in problems]
        elif not alike(block.text, printed):
            wrong.append(f"line {block.line}; printed was:\n{printed}")
            updates[block.text] = printed
    if REWRITE:
        for target in [page, CHINESE] if page == README else [page]:
            text = read(target)
            for old, new in updates.items():
                text = text.replace(f"\n{old}```", f"\n{new}```")
            target.write_text(text, encoding="utf-8")
    assert not wrong, f"{page.name}\n" + "\n".join(wrong)


def test_the_threshold_shown_is_the_default_one() -> None:
    default = threshold_for(card := Registry().get("dlib-resnet-v1"), space_of(card, mirror=True))
    shown = [
        float(number)
        for block in blocks(README)
        for number in re.findall(r"(?:≥|<|Threshold) ([\d.]+)", block.text)
    ]
    assert set(shown) == {round(default.value, 4)}
    answers = [json.loads(b.text) for b in blocks(CLI) if '"policy": "fmr=5e-3"' in b.text]
    assert {answer["threshold"] for answer in answers} == {default.value}


def test_cards_in_the_pages_are_valid() -> None:
    cards = [block for block in blocks(ROOT / "docs" / "models.md") if block.language == "toml"]
    assert [parse_card(card.text, "models.md").name for card in cards] == ["my-net"]


def test_every_block_says_what_it_is() -> None:
    known = {"python", "console", "text", "json", "toml"}
    for page in PAGES:
        assert {block.language for block in blocks(page)} <= known, page.name


def test_the_chinese_readme_has_the_same_blocks_headings_and_table() -> None:
    assert [b.text for b in blocks(CHINESE)] == [b.text for b in blocks(README)]
    levels = [re.findall(r"^#+", read(page), re.MULTILINE) for page in (README, CHINESE)]
    assert levels[0] == levels[1]
    table = re.compile("<!-- benchmark:begin -->(.*)<!-- benchmark:end -->", re.DOTALL)
    numbers = [NUMBER.findall(table.search(read(page))[1]) for page in (README, CHINESE)]  # type: ignore[index]
    assert numbers[0] == numbers[1]
    links = [
        set(LINK.findall(read(page))) - {CHINESE.name, README.name} for page in (README, CHINESE)
    ]
    assert links[0] == links[1]


# -- commands ---------------------------------------------------------------------------------


def leaves() -> dict[str, Any]:
    """Every command without commands of its own, by its full name."""
    found: dict[str, Any] = {}

    def walk(name: str, command: Any) -> None:
        if not hasattr(command, "commands"):
            found[name] = command
        for part, inner in getattr(command, "commands", {}).items():
            walk(f"{name} {part}", inner)

    walk("vultus", get_command(cli.app))
    return found


def option_names(command: Any) -> set[str]:
    names = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return {name for name in names if name.startswith("-")}


def resolve(words: list[str]) -> tuple[str, Any, list[str]]:
    """The command that `words` call, and what is left of them."""
    command, name = get_command(cli.app), "vultus"
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, name, rest = command.commands[rest[0]], f"{name} {rest[0]}", rest[1:]
    return name, command, rest


@of_pages(PAGES)
def test_commands_in_blocks_are_understood(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    for block in blocks(page):
        for line, _ in shell(block) if block.language == "console" else []:
            words = [
                word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_0-9]+=\S*", word)
            ]
            program = Path(words[0]).name
            if program == "vultus":
                name, command, rest = resolve(words)
                assert name in leaves(), line
                command.make_context(name, rest)  # raises for whatever the command would refuse
            elif program == "make":
                assert set(words[1:]) <= targets, line
            elif program == "python":
                assert (ROOT / words[1]).is_file(), line
            else:
                assert program in {"pip", "pytest", "ruff"}, line


@of_pages(PAGES)
def test_commands_in_the_text_exist(page: Path) -> None:
    for usage in USAGE.findall(prose(page)):
        words = [word for word in re.split(r"[\s\[\]|]+", usage) if word]
        name, command, rest = resolve(words)
        asked = {word for word in rest if word.startswith("-")}
        assert asked <= option_names(command) | {"--help", "-h"}, usage
        if name == "vultus":
            assert all(word.startswith("-") for word in rest), usage
        if hasattr(command, "commands") and rest:
            assert rest == ["COMMAND"] or asked, usage


def test_every_command_and_option_is_described() -> None:
    text = prose(CLI)
    bodies = re.split(HEADING.pattern, text, flags=re.MULTILINE)[2::2]
    sections = dict(zip(HEADING.findall(text), bodies, strict=True))
    commands = leaves()
    assert [title for title in sections if title in commands] == list(commands)
    for name, command in commands.items():
        usage, _, described = sections[name].lstrip().partition("\n")
        options = {word for word in re.split(r"[\s\[\]|`]+", usage) if word.startswith("-")}
        assert usage.startswith(f"`{name}")
        assert options == option_names(command), name
        for option in options:
            elsewhere = sections["What the commands take"] + described
            assert re.search(rf"`{re.escape(option)}[ `]", elsewhere), f"{name} {option}"
    for option in option_names(get_command(cli.app)):
        assert f"{option}`" in text


def test_every_exit_code_is_described() -> None:
    codes = {value for name, value in vars(_output).items() if name.startswith("EXIT_")}
    described = re.findall(r"^\| (\d+) \|", read(CLI), re.MULTILINE)
    assert {int(code) for code in described} == codes | {0, 2}


def test_every_environment_variable_is_described() -> None:
    source = "".join(read(path) for path in (ROOT / "vultus").rglob("*.py"))
    variable = r"\bVULTUS_[A-Z_]+"
    assert set(re.findall(variable, source)) == set(re.findall(variable, read(CLI)))


# -- the library ------------------------------------------------------------------------------


def test_every_public_name_is_described() -> None:
    text = read(LIBRARY)
    assert [name for name in vultus.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_every_argument_is_described() -> None:
    text = read(LIBRARY)
    for name, parameter in inspect.signature(vultus.load).parameters.items():
        default = (
            json.dumps(parameter.default)
            if isinstance(parameter.default, str)
            else parameter.default
        )
        assert f"| `{name}` | `{default}` |" in text
    for name, method in inspect.getmembers(vultus.Recognizer, inspect.isfunction):
        if not name.startswith("_"):
            found = [
                p.name if p.default is p.empty else f"{p.name}={p.default}"
                for p in inspect.signature(method).parameters.values()
                if p.name != "self"
            ]
            (shown,) = re.findall(rf"^\| `{name}\((.*?)\)` \|", text, re.MULTILINE)
            assert [part for part in shown.split(", ") if part != "*"] == found


def test_every_error_is_described_with_its_code() -> None:
    classes = [getattr(errors, name) for name in errors.__all__]
    rows = dict(re.findall(r"^\| `(\w+Error)` \| `([\w-]+)` \|", read(LIBRARY), re.MULTILINE))
    assert rows == {error.__name__: error.code for error in classes}


def test_the_layers_are_those_of_the_contract() -> None:
    contract = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    shown = [block.text.split("\n")[:-1] for block in blocks(ROOT / "docs" / "architecture.md")]
    assert contract["layers"] in shown


def test_every_room_is_described() -> None:
    text = read(ROOT / "docs" / "architecture.md")
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "vultus").iterdir()
        if not path.name.startswith("__") and path.suffix in {"", ".py"}
    }
    assert [room for room in sorted(rooms) if f"| `{room}` |" not in text] == []


# -- links ------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@of_pages(PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue
        path, _, place = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if place:
            assert place in {anchor(heading) for heading in HEADING.findall(prose(target))}, link


@of_pages(PAGES)
def test_pages_name_no_place_of_one_machine(page: Path) -> None:
    assert re.findall(r"(?:^|[\s`(\"])/(?:home|tmp|work|root|Users)/\S*", read(page)) == []

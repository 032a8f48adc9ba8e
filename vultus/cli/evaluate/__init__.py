"""``vultus evaluate``: how good is it, on which data? One file per family of protocols."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

__all__ = ["app"]


class _LazyGroup(TyperGroup):
    """Its commands, which have many options, are made when one is asked for, not at every start."""

    _made: dict[str, Any] | None = None

    @property
    def commands(self) -> Any:
        """The commands by their names."""
        if self._made is None:
            self._made = _commands()
        return self._made

    @commands.setter
    def commands(self, _: Any) -> None:
        """None but our own; the base class would set an empty one."""


app = typer.Typer(
    cls=_LazyGroup,
    help="Measure accuracy on public data sets and on your own pictures.",
    no_args_is_help=True,
)


def _commands() -> dict[str, Any]:
    """Assemble the group; another family of protocols is another file and some lines here."""
    from typer.main import get_command

    from vultus.cli.evaluate import detection, faces, identification, liveness, verification

    made = typer.Typer(rich_markup_mode="markdown")
    made.command("lfw")(verification.lfw)
    made.command("bin")(verification.bins)
    made.command("ytf")(verification.ytf)
    made.command("ijb")(identification.ijb)
    made.command("megaface")(identification.megaface)
    made.command("identification")(identification.identification)
    made.command("folder")(verification.folder)
    made.command("detect")(detection.detect)
    made.command("landmarks")(faces.landmarks)
    made.command("pose")(faces.pose)
    made.command("attributes")(faces.attributes)
    made.command("liveness")(liveness.liveness)
    commands: dict[str, Any] = getattr(get_command(made), "commands")  # noqa: B009 - typed as Command
    return commands

"""Groups of commands that are imported and made when one is asked for, not at every start."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import typer
from typer.core import TyperGroup

__all__ = ["lazy_group"]


def lazy_group(module: str, what: str) -> typer.Typer:
    """A group that stands for the ``app`` of a module.

    Args:
        module: Its full name.
        what: What ``--help`` says of the group.
    """

    class Group(TyperGroup):
        @property
        def commands(self) -> Any:
            """The commands by their names."""
            return _commands(module)

        @commands.setter
        def commands(self, _: Any) -> None:
            """None but the module's; the base class would set an empty one."""

    return typer.Typer(cls=Group, help=what, no_args_is_help=True)


@lru_cache
def _commands(module: str) -> dict[str, Any]:
    from typer.main import get_command

    whole = typer.Typer(rich_markup_mode="markdown")
    whole.add_typer(importlib.import_module(module).app, name="group")
    made: Any = get_command(whole)
    commands: dict[str, Any] = made.commands["group"].commands
    return commands

"""The command line that is linted, alone or with what the planner made of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gpubox.catalogue.options import words
from gpubox.lint.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpubox.catalogue.check import Level
    from gpubox.catalogue.options import Catalogue, Word
    from gpubox.placement import Flags, Model, Placement


@dataclass(frozen=True)
class Arguments:
    """A command line.

    Attributes:
        catalogue: the engine's options.
        argv: the arguments without the program's name.
    """

    catalogue: Catalogue
    argv: Sequence[str]

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """The options in their order."""
        return tuple(words(self.catalogue, self.argv))

    def find(self, name: str) -> Word | None:
        """Return the last occurrence of an option by its canonical name, which is the one that counts."""
        return next((word for word in reversed(self.words) if word.option and word.option.name == name), None)

    def about(self, option: str, level: Level, what: str, *reasons: str) -> Iterator[Finding]:
        """Yield a finding about an option where it is given; `reasons` are why, and what to write instead."""
        word = self.find(option)
        why, instead = (*reasons, "", "")[:2]
        if word is not None:
            yield Finding(level, " ".join((word.flag, *word.values)), what, why, instead, word.index)


@dataclass(frozen=True)
class CommandLine(Arguments):
    """A command line on a machine.

    Attributes:
        placement: where everything goes.
    """

    placement: Placement

    @property
    def model(self) -> Model:
        """The model."""
        return self.placement.model

    @property
    def flags(self) -> Flags:
        """The flags as given."""
        return self.placement.flags

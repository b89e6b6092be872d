"""The command line that is linted, with what the planner made of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gpubox.catalogue.options import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.catalogue.options import Catalogue, Word
    from gpubox.placement import Flags, Model, Placement


@dataclass(frozen=True)
class CommandLine:
    """A command line on a machine.

    Attributes:
        catalogue: the engine's options.
        argv: the arguments without the program's name.
        placement: where everything goes.
    """

    catalogue: Catalogue
    argv: Sequence[str]
    placement: Placement

    @property
    def model(self) -> Model:
        """The model."""
        return self.placement.model

    @property
    def flags(self) -> Flags:
        """The flags as given."""
        return self.placement.flags

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """The options in their order."""
        return tuple(words(self.catalogue, self.argv))

    def find(self, name: str) -> Word | None:
        """Return the last occurrence of an option by its canonical name, which is the one that counts."""
        return next((word for word in reversed(self.words) if word.option and word.option.name == name), None)

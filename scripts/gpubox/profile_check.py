"""Check many profiles: document, flags, and whether a unit can carry the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpubox.errors import DocumentError, Fault
from gpubox.profile_files import load_profile, profile_names, profiles_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gpubox.profile_files import LoadedProfile


@dataclass(frozen=True)
class Checked:
    """The outcome for one profile.

    Attributes:
        name: as it was asked for.
        hash: `profile_hash`, None where the document is faulty.
        errors: what must be mended, whole messages.
        warnings: what should be looked at.
    """

    name: str
    hash: str | None
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        return {"profile": self.name, "hash": self.hash, "errors": list(self.errors), "warnings": list(self.warnings)}


def check_profiles(names: Sequence[str], folder: Path | None = None) -> list[Checked]:
    """Check the named profiles, or all in `folder` when none is named.

    Raises:
        DocumentError: none is named and the folder holds none.
    """
    folder = profiles_folder(folder)
    if not names:
        names = profile_names(folder)
        if not names:
            raise DocumentError([Fault(str(folder), "", "holds no profiles", remedy="name a file, or add NAME.yml")])
    return [_check(name, folder) for name in names]


def _check(name: str, folder: Path) -> Checked:
    try:
        loaded = load_profile(name, folder)
    except DocumentError as error:
        return Checked(name, None, tuple(map(str, error.faults)), ())
    errors, warnings = _flags(loaded)
    return Checked(loaded.name, loaded.hash, tuple(errors), tuple(warnings))

"""Check many profiles: document, flags, and whether a unit can carry the command line."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from gpubox.argv import written
from gpubox.box import Box
from gpubox.catalogue import Catalogue, check_argv, parse_help
from gpubox.errors import ArgumentError, DocumentError, Fault, GpuboxError
from gpubox.lint import lint, lint_settings
from gpubox.model_source import find_header
from gpubox.placement import Machine, place, read_flags, read_model
from gpubox.profile import IK_LLAMA_COMMIT
from gpubox.profile_deployment import deploy
from gpubox.profile_faults import dotted
from gpubox.profile_files import load_profile, profile_names, shown_path
from gpubox.profiles_folder import profiles_folder
from gpubox.render import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gpubox.lint import Finding
    from gpubox.profile import Profile
    from gpubox.profile_files import LoadedProfile

CATALOGUES = "catalogues"
"""Folder beside the profiles with what the servers of other commits say to `--help`, which the role ik_llama_image fills."""

_AMPLE = 1 << 50  # bytes of a GPU: how much there is on a box is not asked here
_USUAL_GPUS = 2  # of a profile that uses all


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
    errors, warnings = _flag_faults(loaded, folder)
    try:
        render(deploy(loaded, Box()), "quadlet")
    except ArgumentError as error:
        errors.append(f"{shown_path(loaded.path)}: {error}")
    return Checked(loaded.name, loaded.hash, tuple(errors), tuple(warnings))


def _flag_faults(loaded: LoadedProfile, folder: Path) -> tuple[list[str], list[str]]:
    """Check the profile's flags against its engine's catalogue; return errors and warnings as whole messages."""
    profile, file = loaded.profile, shown_path(loaded.path)
    engine = profile.engine
    if engine.name != "ik_llama" or engine.commit is None:
        return [], []  # mainline's flags change every week: the built image's own catalogue is checked on the box
    catalogue = _catalogue(engine.name, engine.commit, folder.parent / CATALOGUES)
    if catalogue is None:
        what = "flags are not checked: no catalogue of this commit is known"
        remedy = f"playbooks/image.yml brings the options of the image that it builds into {CATALOGUES}/ beside the inventory"
        return [], [str(Fault(file, "engine.commit", what, engine.commit, remedy))]
    pieces = list(written(profile, name=loaded.name, model="model.gguf", host="127.0.0.1", port=profile.port))
    places = [place for place, words in pieces for _ in words]
    argv = [word for _, words in pieces for word in words]
    gpus = len(profile.gpus) if isinstance(profile.gpus, list) else 0 if profile.gpus == "none" else None
    errors, warnings = [], []
    for finding in check_argv(catalogue, argv, gpus):
        fault = Fault(file, dotted(places[finding.index]), f"{finding.flag}: {finding.fault}", remedy=finding.remedy)
        if finding.level == "error":
            errors.append(str(fault))
        elif finding.level == "warning":
            warnings.append(str(fault))
    for found in _lint(profile, catalogue, argv):
        place = dotted(places[found.index]) if found.index is not None else ""
        fault = Fault(file, place, f"{found.where}: {found.what}", remedy=found.instead)
        (errors if found.level == "error" else warnings).append(str(fault))
    return errors, warnings


def _lint(profile: Profile, catalogue: Catalogue, argv: list[str]) -> list[Finding]:
    """Return what the flags do not do, for the profile's model where its header is at hand; memory is the planner's."""
    gpus = len(profile.gpus) if isinstance(profile.gpus, list) else 0 if profile.gpus == "none" else _USUAL_GPUS
    try:
        header = find_header(profile.model).header
        model = read_model(header)
    except GpuboxError:
        return lint_settings(catalogue, argv, gpus)
    machine = Machine((_AMPLE,) * gpus)
    found = lint(catalogue, argv, place(model, read_flags(argv, catalogue), machine))
    return [one for one in found if one.index is not None and one.level != "note"]


@cache
def _catalogue(engine: str, commit: str, folder: Path) -> Catalogue | None:
    """Return the shipped catalogue, or one of the options that the image's server told, completed by a shipped one."""
    with suppress(GpuboxError):
        return Catalogue.load(engine, commit)
    try:
        told = (folder / f"{engine}-{commit[:7]}.txt").read_text(encoding="utf-8", errors="replace")
        return parse_help(told, engine, commit).completed(Catalogue.load(engine, IK_LLAMA_COMMIT))
    except (OSError, GpuboxError):
        return None

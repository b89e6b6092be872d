"""A matrix file: a base profile over some axes, expanded to derived profiles.

    base: glm-5.2-1.630bpw
    axes:
      speculative: ["off", {type: mtp, n_max: [1, 2, 3, 4], p_min: [0, 0.5]}]
      experts: {four: [{layers: "3-6", device: CUDA0}], none: null}
      ubatch: [512, 2048]

An axis of `speculative` takes stages whose values are lists, and has a profile for each combination of them. `mla` and
`ubatch` are short for `mla_use` and `ubatch_size`.

A derived profile is a profile like any other: a file that `extends` the base and sets one value of each axis. So it is
deployed, switched to and measured as every other, and what was measured can be read in the inventory a year later.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpubox.document import read_mapping
from gpubox.errors import DocumentError, Fault
from gpubox.profile_faults import fault_of
from gpubox.profile_files import LoadedProfile, load_profile, shown_path
from gpubox.profiles_folder import profiles_folder

HEADER = "# Written by gpubox bench --matrix; the next time overwrites changes made here.\n"
# Axes that are fields of a profile; all others are fields of its `server`.
OWN_FIELDS = ("speculative", "experts")
SHORT = {"mla": "mla_use", "ubatch": "ubatch_size"}
MOST = 500


class MatrixDocument(BaseModel):
    """A matrix file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    base: str = Field(description="the profile that is varied")
    axes: dict[str, Annotated[list[Any], Field(min_length=1)] | Annotated[dict[str, Any], Field(min_length=1)]] = Field(
        min_length=1,
        description="values by field: a list, or a mapping from what they are called in the profiles' names",
    )


@dataclass(frozen=True)
class Derived:
    """A derived profile: its name and its document, which extends the base."""

    name: str
    document: dict[str, Any]

    @property
    def text(self) -> str:
        """The file."""
        return HEADER + yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True)


def read_matrix(path: Path) -> list[Derived]:
    """Return the derived profiles of a matrix file, the last axis varying fastest.

    Raises:
        DocumentError: with all faults of the file.
    """
    shown = shown_path(path)
    document = read_mapping(path, shown_as=shown)
    try:
        matrix = MatrixDocument.model_validate(document)
    except ValidationError as error:
        faults = [fault_of(each, document, lambda _: shown, MatrixDocument) for each in error.errors(include_url=False)]
        raise DocumentError(faults) from None
    derived = expand(matrix.base, matrix.axes)
    if len(derived) > MOST:
        remedy = "leave values out"
        raise DocumentError(
            [Fault(shown, "axes", f"give {len(derived)} profiles, and {MOST} are the most", remedy=remedy)]
        )
    return derived


def expand(base: str, axes: dict[str, Any]) -> list[Derived]:
    """Return the product of some axes over a base profile.

    Args:
        base: its name.
        axes: values by field, as a list (`ubatch_size: [512]` is called `ubatch_size512`) or by what they are called.
    """
    choices = [
        [(SHORT.get(axis, axis), label, value) for label, value in _labelled(axis, values)]
        for axis, values in axes.items()
    ]
    derived = []
    for chosen in product(*choices):
        document: dict[str, Any] = {"extends": base}
        document["description"] = f"{base} with " + ", ".join(f"{axis} {label}" for axis, label, _ in chosen)
        for axis, _, value in chosen:
            if axis in OWN_FIELDS:
                document[axis] = value
            else:
                document.setdefault("server", {})[axis] = value
        derived.append(Derived("-".join([base, *(label for _, label, _ in chosen)]).lower(), document))
    return derived


def _labelled(axis: str, values: Any) -> list[tuple[str, Any]]:  # noqa: ANN401  # a list or a mapping of YAML
    if isinstance(values, dict):
        return list(values.items())
    if axis == "speculative":
        return [one for value in values for one in _stages(value)]
    return [(f"{axis}{value}", value) for value in values]


def _stages(value: Any) -> list[tuple[str, Any]]:  # noqa: ANN401  # YAML
    """Return the stages that one entry of an axis stands for, each with what it is called."""
    if value in ("off", None):
        return [("off", None)]
    if not isinstance(value, dict):
        return [(f"speculative{value}", value)]
    settings = {key: each if isinstance(each, list) else [each] for key, each in value.items() if key != "type"}
    found = []
    for chosen in product(*settings.values()):
        stage = dict(zip(settings, chosen, strict=True))
        label = "-".join([str(value.get("type")), *(f"{key}{each}" for key, each in stage.items())])
        found.append((label, [{"type": value.get("type"), **stage}]))
    return found


def load_derived(derived: list[Derived], folder: Path | None = None) -> list[LoadedProfile]:
    """Return the derived profiles, validated, each kind once: of those that serve the same, the first.

    Args:
        derived: of a matrix.
        folder: where the base is; see `gpubox.profiles_folder.profiles_folder`.

    Raises:
        DocumentError: one is no valid profile; with all its faults.
    """
    home = profiles_folder(folder)
    loaded: dict[str, LoadedProfile] = {}
    with TemporaryDirectory() as scratch:
        for one in derived:
            path = Path(scratch) / f"{one.name}.yml"
            path.write_text(one.text, encoding="utf-8")
            try:
                found = load_profile(str(path), home)
            except DocumentError as error:
                raise DocumentError([_renamed(fault, path, one.name) for fault in error.faults]) from None
            loaded.setdefault(found.hash, found)
    return list(loaded.values())


def write_derived(derived: list[Derived], folder: Path) -> None:
    """Write derived profiles into the inventory.

    Raises:
        DocumentError: a file of one's name is somebody's own.
    """
    paths = {folder / f"{one.name}.yml": one.text for one in derived}
    own = [path for path in paths if path.exists() and not path.read_text("utf-8").startswith(HEADER)]
    if own:
        remedy = "rename it, or call the axis's value otherwise"
        raise DocumentError(
            [Fault(shown_path(path), "", "is not a matrix's, and is in its way", remedy=remedy) for path in own]
        )
    for path, text in paths.items():
        path.write_text(text, encoding="utf-8")


def _renamed(fault: Fault, path: Path, name: str) -> Fault:
    file = fault.file.replace(str(path), name)
    return Fault(file, fault.field, fault.fault, fault.got, fault.remedy)

"""Find, merge and validate profile files; every fault of a document at once, each in the file that wrote the value."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gpubox.document import read_mapping
from gpubox.errors import DocumentError, Fault, nearest
from gpubox.profile import IK_LLAMA_COMMIT, NAME_PATTERN, Profile, profile_hash
from gpubox.profile_faults import Place, SoundPart, dotted, fault_of, shown_value, value_at
from gpubox.profile_rules import broken_rules
from gpubox.profiles_folder import profiles_folder

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ANCESTORS = 32


@dataclass(frozen=True)
class LoadedProfile:
    """A valid profile and where it came from.

    Attributes:
        name: the file's stem.
        path: the file.
        profile: the resolved document.
        hash: `profile_hash` of it.
        sources: the files that were merged, the profile's own last.
    """

    name: str
    path: Path
    profile: Profile
    hash: str
    sources: tuple[Path, ...]


@dataclass
class _Merged:
    """A merged document that remembers which file wrote each value."""

    value: dict[str, Any] = field(default_factory=dict)
    origin: dict[Place, str] = field(default_factory=dict)

    def add(self, layer: dict[str, Any], file: str) -> None:
        """Lay `layer` on top: maps merge, anything else replaces, null removes."""
        self.origin.setdefault((), file)
        self._merge(self.value, layer, (), file)

    def _merge(self, base: dict[str, Any], layer: dict[str, Any], place: Place, file: str) -> None:
        for key, new in layer.items():
            here = (*place, key)
            if isinstance(new, dict) and isinstance(base.get(key), dict):
                self._merge(base[key], new, here, file)
                continue
            for known in [known for known in self.origin if known[: len(here)] == here]:
                del self.origin[known]
            self.origin[here] = file
            if new is None and place != ("server", "chat_template_kwargs"):
                base.pop(key, None)
            else:
                base[key] = copy.deepcopy(new)

    def file_of(self, place: Place) -> str:
        """Return the file that wrote the value at `place`, or the nearest value around it."""
        for length in range(len(place), -1, -1):
            if place[:length] in self.origin:
                return self.origin[place[:length]]
        raise AssertionError(place)


def profile_names(folder: Path) -> list[str]:
    """Return the names of all profiles in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob("*.yml"))


def profile_path(name_or_path: str, folder: Path) -> Path:
    """Return the file of a profile given by name (in `folder`) or by path.

    Raises:
        DocumentError: there is no such profile; names the nearest.
    """
    if "/" in name_or_path or name_or_path.endswith((".yml", ".yaml")):
        return Path(name_or_path)
    path = folder / f"{name_or_path}.yml"
    if path.exists():
        return path
    names = profile_names(folder)
    remedy = nearest(name_or_path, names) or (
        f"known are: {', '.join(names)}" if names else "run gpubox in a folder with inventory/profiles"
    )
    raise DocumentError([Fault(name_or_path, "", f"no such profile in {shown_path(folder)}", remedy=remedy)])


def load_profile(name_or_path: str, folder: Path | None = None) -> LoadedProfile:
    """Read, merge and validate one profile.

    Args:
        name_or_path: a profile's name, or a file's path.
        folder: where profiles are found by name; see `profiles_folder`.

    Raises:
        DocumentError: with all faults of the document.
    """
    folder = profiles_folder(folder)
    path = profile_path(name_or_path, folder)
    shown = shown_path(path)
    merged, sources = _merge_ancestors(path, folder)
    faults = []
    if not re.fullmatch(NAME_PATTERN, path.stem):
        remedy = "use lower-case letters, digits, `.`, `_` and `-`, at most 63 characters"
        faults.append(Fault(shown, "", "the file's name can't name a service", got=repr(path.stem), remedy=remedy))
    profile, found = validate(merged.value, merged.file_of)
    faults += found
    if profile is None or faults:
        raise DocumentError(faults)
    return LoadedProfile(path.stem, path, profile, profile_hash(profile), tuple(sources))


def _merge_ancestors(path: Path, folder: Path) -> tuple[_Merged, list[Path]]:
    chain: list[tuple[Path, dict[str, Any]]] = []
    seen: list[Path] = []
    while True:
        resolved = path.resolve()
        if resolved in seen:
            names = " -> ".join([*(link.stem for link in seen), resolved.stem])
            place = shown_path(chain[-1][0])
            raise DocumentError([Fault(place, "extends", f"goes in a circle: {names}", remedy="break the circle")])
        if len(chain) > MAX_ANCESTORS:
            raise DocumentError([Fault(shown_path(path), "extends", f"more than {MAX_ANCESTORS} ancestors")])
        seen.append(resolved)
        layer = read_mapping(path, shown_as=shown_path(path))
        chain.append((path, layer))
        parent = layer.get("extends")
        if parent is None:
            break
        path = _parent_path(parent, path, folder)
    merged = _Merged()
    for source, layer in reversed(chain):
        merged.add(layer, shown_path(source))
    return merged, [source for source, _ in reversed(chain)]


def _parent_path(parent: object, child: Path, folder: Path) -> Path:
    if not isinstance(parent, str) or not re.fullmatch(NAME_PATTERN, parent):
        fault = Fault(shown_path(child), "extends", "must be the name of one profile", got=shown_value(parent))
        raise DocumentError([fault])
    for candidate in (child.parent / f"{parent}.yml", folder / f"{parent}.yml"):
        if candidate.exists():
            return candidate
    names = {*profile_names(child.parent), *profile_names(folder)} - {child.stem}
    fault = Fault(shown_path(child), "extends", "no such profile", got=parent, remedy=nearest(parent, names))
    raise DocumentError([fault])


def validate(document: dict[str, Any], file_of: Callable[[Place], str]) -> tuple[Profile | None, list[Fault]]:
    """Validate a resolved document: the fields, then the rules between them, as far as the faults allow.

    Returns:
        The profile (None where it can't be built) and all faults, in the order of the document's fields.
    """
    profile, errors = _build(document)
    faults = [fault_of(error, document, file_of) for error in errors]
    if profile is not None:
        rules = broken_rules(profile)
    else:  # check the rules on what is left without the faulty values
        sound = SoundPart(document, [error["loc"] for error in errors])
        partial, _ = _build({"model": {"path": "/"}, **sound.document})
        rules = [replace(rule, place=sound.original(rule.place)) for rule in broken_rules(partial)] if partial else []
    bad = {error["loc"] for error in errors}
    for rule in rules:
        if not any(rule.place[: len(place)] == place or place[: len(rule.place)] == rule.place for place in bad):
            got = shown_value(value_at(document, rule.place)) if rule.show_value else None
            faults.append(Fault(file_of(rule.place), dotted(rule.place), rule.fault, got=got, remedy=rule.remedy))
    order = {name: number for number, name in enumerate(Profile.model_fields)}
    faults.sort(key=lambda fault: order.get(re.split(r"[.\[]", fault.field)[0], len(order)))
    unique = list(dict.fromkeys(faults))
    return (None if unique else profile), unique


def _build(document: dict[str, Any]) -> tuple[Profile | None, list[Any]]:
    try:
        profile = Profile.model_validate(document)
    except ValidationError as error:
        return None, list(error.errors(include_url=False))
    if profile.engine.name == "ik_llama" and profile.engine.commit is None:
        engine = profile.engine.model_copy(update={"commit": IK_LLAMA_COMMIT})
        profile = profile.model_copy(update={"engine": engine})
    return profile, []


def shown_path(path: Path) -> str:
    """Return a path as errors show it: relative to the current folder where it is inside it."""
    try:
        return str(path.resolve().relative_to(Path.cwd())) if path.is_absolute() else str(path)
    except ValueError:
        return str(path)

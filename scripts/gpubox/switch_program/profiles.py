"""The profiles of this box, as the role model_profiles wrote them beside their units."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gpubox.errors import GpuboxError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SLOWEST_READ = 100e6  # bytes a second, of a hard disk
DEPLOY_AGAIN = "run playbooks/profiles.yml"


@dataclass(frozen=True)
class BoxProfile:
    """What a switch needs to know of a profile; JSON has the same names.

    Attributes:
        name: of the profile, its container and, with `.service`, its unit.
        hash: of the profile when it was deployed.
        file: the Quadlet or unit file.
        file_sha256: of what was written there.
        port: on the box.
        gpus: `all`, `none`, or indices and UUIDs.
        conflicts: names of the profiles that can't serve beside it.
        image: as its unit names it.
        argv: of the server, without the program's name, as its unit has it.
        models: the files that it loads.
        sha256: that the profile wants of them, by path; without those for which it names none.
        start_timeout_s: from start to the first good completion, of a model that is read within that time.
        stop_timeout_s: from SIGTERM to SIGKILL.
        api_key_file: on the box; empty without keys.
        verdict: the planner's: why it does not fit this box; empty where it fits or the planner can't tell.
    """

    name: str
    hash: str
    file: str
    file_sha256: str
    port: int
    gpus: str | list[int | str]
    conflicts: list[str]
    image: str
    argv: list[str]
    models: list[str]
    sha256: dict[str, str]
    start_timeout_s: int
    stop_timeout_s: int
    api_key_file: str
    verdict: str

    @property
    def unit(self) -> str:
        """The full name of its service."""
        return f"{self.name}.service"

    @property
    def url(self) -> str:
        """Where it serves, seen from the box."""
        return f"http://127.0.0.1:{self.port}"

    def load_limit_s(self, size: int) -> float:
        """Return how long its model of so many bytes may take from start to the first good completion, seconds."""
        return max(self.start_timeout_s, size / SLOWEST_READ)


def read_profiles(path: Path) -> dict[str, BoxProfile]:
    """Return the profiles by name.

    Raises:
        GpuboxError: there are none, or another version of gpubox wrote them.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        return {entry["name"]: _profile(entry) for entry in document["profiles"]}
    except OSError as error:
        raise GpuboxError(str(path), f"can't be read: {error.strerror}", DEPLOY_AGAIN) from error
    except (ValueError, KeyError, TypeError) as error:
        raise GpuboxError(str(path), f"is not what this version of gpubox writes ({error})", DEPLOY_AGAIN) from error


def choose(profiles: Mapping[str, BoxProfile], name: str) -> BoxProfile:
    """Return a profile by name.

    Raises:
        GpuboxError: it is none of the box; names the nearest.
    """
    if name not in profiles:
        fault = f"is no profile of this box, which has {', '.join(sorted(profiles)) or 'none'}"
        remedy = nearest(name, profiles) or f"list it in gpubox_profiles and {DEPLOY_AGAIN}"
        raise GpuboxError(name, fault, remedy)
    return profiles[name]


def _profile(entry: dict[str, Any]) -> BoxProfile:
    return BoxProfile(**{field.name: entry[field.name] for field in fields(BoxProfile)})

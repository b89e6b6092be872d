"""Why an image could not be built, pushed or pulled: read from the last lines of what git, cmake and podman print."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpubox.errors import ImageError

_LINES = 12
_NOISE = re.compile(r"^(make|gmake|ninja)(\[\d+\])?: |^time=\S+ level=warning|^\s*$|^Error: building at STEP")


@dataclass(frozen=True)
class _Cause:
    """A line that tells a cause.

    Attributes:
        sign: found in the line.
        fault: what is wrong, with the sign's groups.
        remedy: what to do.
    """

    sign: re.Pattern[str]
    fault: str
    remedy: str


# The first that is found counts, so the more certain ones come first.
_CAUSES = (
    _Cause(
        re.compile(r"(?i)no space left on device|disk quota exceeded"),
        "the disk is full",
        "free space where Podman keeps images (`podman info --format '{{.Store.GraphRoot}}'`) and in /var/tmp; "
        "`podman image prune` removes what nothing names",
    ),
    _Cause(
        re.compile(r"ik-llama-build: no git repository answers at (\S+)"),
        "no git repository answers at {0}",
        "start it, or set ik_llama_image_source to a clone that the box reaches",
    ),
    _Cause(
        re.compile(r"ik-llama-build: no commit (\w+) in (\S+)"),
        "{1} has no commit {0}",
        "set ik_llama_image_commit to one that it has, or ik_llama_image_source to a clone that has this one",
    ),
    _Cause(
        re.compile(r"ik-llama-build: (\S+ gave commit \w+ instead of \w+)"),
        "{0}",
        "don't trust that clone; set ik_llama_image_source to another",
    ),
    _Cause(
        re.compile(r"(?i)Killed signal terminated program|signal: killed|fatal error: Killed|^Killed"),
        "the compiler was killed, most likely for want of memory",
        "set ik_llama_image_jobs to a smaller number",
    ),
    _Cause(
        re.compile(r"pinging container registry ([^:\s]+(?::\d+)?): .*(?:server gave HTTP response to HTTPS client)"),
        "the registry {0} speaks HTTP and not HTTPS",
        "list it as an insecure registry of the box (container_host_registries), or give it a certificate",
    ),
    _Cause(
        re.compile(r"pinging container registry ([^:\s]+(?::\d+)?): (?:.*: )?(.+)$"),
        "the registry {0} can't be reached: {1}",
        "start it, or check its name and the box's network; then run this again",
    ),
    _Cause(
        re.compile(r"(?i)reading manifest \S+ in (\S+): .*(?:unknown|not found)"),
        "{0} has no such image",
        "check the base images and ik_llama_image_base_registry",
    ),
    _Cause(
        re.compile(r"(?i)(unauthorized|authentication required|access to the requested resource is not authorized)"),
        "the registry wants a login",
        "run `podman login` on the box as root",
    ),
)
# What registries answer that hold nothing of that name yet.
_NOT_THERE = re.compile(r"(?i)manifest unknown|name unknown|repository name not known|not found: manifest|: not found")


def image_fault(place: str, doing: str, output: str, log: str = "") -> ImageError:
    """Return what went wrong, with the last lines that tell it.

    Args:
        place: the box.
        doing: what failed, `the build of ik_llama:29a54f4-…`.
        output: what the command printed.
        log: where all of it lies on the box; may be empty.
    """
    lines = [line.rstrip() for line in output.splitlines()]
    last_lines = ([line for line in lines if not _NOISE.search(line)] or lines)[-_LINES:]
    for cause in _CAUSES:
        match = next(filter(None, map(cause.sign.search, reversed(lines))), None)
        if match:
            return ImageError(f"{place}: {doing}", cause.fault.format(*match.groups()), cause.remedy, last_lines)
    return ImageError(f"{place}: {doing}", "it failed", f"all its lines are in {log} there" if log else "", last_lines)


def is_not_in_registry(output: str) -> bool:
    """Tell a registry that does not hold an image from one that can't be asked, by what `podman pull` prints."""
    return bool(_NOT_THERE.search(output)) and "pinging container registry" not in output

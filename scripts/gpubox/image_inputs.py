"""All that a container image of ik_llama.cpp depends on, read from a role's variables and from the GPUs of its boxes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gpubox.engine_build import EngineBuild
from gpubox.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_COMMIT = re.compile(r"[0-9a-f]{40}")
_BASE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._/-]*)(:(?P<tag>[\w.-]+))?@(?P<digest>sha256:[0-9a-f]{64})")
_CAPABILITY = re.compile(r"(\d+)\.(\d)")
_ARCHITECTURE = re.compile(r"\d+[af]?(-real|-virtual)?")
_CMAKE_FLAG = re.compile(r"-D[A-Za-z0-9_]+(:[A-Z]+)?=[^'\"\\$`\n]*")
_OLDEST_CAPABILITY = (7, 5)  # CUDA 13 has no compiler for older ones
_SPECIFIC_SINCE = 9  # from compute capability 9.0 on there are instructions that only code for that very GPU may use


class Base(NamedTuple):
    """A base image.

    Attributes:
        named: repository with the tag, for people.
        pinned: repository with the digest, without a registry.
        digest: `sha256:` and 64 hex digits.
    """

    named: str
    pinned: str
    digest: str


@dataclass(frozen=True)
class ImageInputs:
    """All that an image depends on.

    Attributes:
        build: how the server is compiled.
        build_base: has a compiler, or a distribution that has one.
        runtime_base: what the server runs on.
        cpu: the CPU's model; empty unless the code is for that CPU alone.
    """

    build: EngineBuild
    build_base: Base
    runtime_base: Base
    cpu: str = ""


def read_inputs(place: str, variables: Mapping[str, Any], gpus: Iterable[Mapping[str, Any]] = ()) -> ImageInputs:
    """Make the inputs of what an operator wrote and of what the boxes are.

    Args:
        place: whose variables they are, for messages.
        variables: the role's, by name without its prefix: `variant`, `commit`, `build_base`, `runtime_base`,
            `cuda_architectures`, `fa_all_quants`, `native`, `cmake_flags`; and `cpu`, the model of the box's CPU.
        gpus: of all boxes that share the image, as `gpubox.host_facts.parse_gpus` writes them; they count where
            `cuda_architectures` is empty.

    Raises:
        DocumentError: with all faults at once.
    """
    gpus = list(gpus)
    found = [*_build_faults(variables, gpus), *_base_faults(variables)]
    if found:
        raise _faults(place, "ik_llama_image_", found)
    build_base, runtime_base = read_base(str(variables["build_base"])), read_base(str(variables["runtime_base"]))
    assert build_base
    assert runtime_base
    native = bool(variables["native"])
    return ImageInputs(
        build=_build(variables, gpus),
        build_base=build_base,
        runtime_base=runtime_base,
        cpu=cpu_label(str(variables["cpu"])) if native else "",
    )


def read_build(place: str, variables: Mapping[str, Any], gpus: Iterable[Mapping[str, Any]] = ()) -> EngineBuild:
    """Make a build of what an operator wrote and of the GPUs of a machine.

    Args:
        place: whose words they are, for messages.
        variables: `variant`, `commit`, `cuda_architectures`, `fa_all_quants`, `native` and `cmake_flags`.
        gpus: as `gpubox.nvidia.parse_gpus` writes them; they count where `cuda_architectures` is empty.

    Raises:
        DocumentError: with all faults at once.
    """
    gpus = list(gpus)
    if found := [*_build_faults(variables, gpus)]:
        raise _faults(place, "", found)
    return _build(variables, gpus)


def cpu_label(model: str) -> str:
    """Return a CPU's model as an image's label holds it."""
    return " ".join(re.sub(r"[^\w ().,:@/+-]", " ", model).split())


def cuda_architecture(capability: str) -> str:
    """Return the value of CMAKE_CUDA_ARCHITECTURES for a GPU: `12.0` gives `120a-real`, `8.9` gives `89-real`.

    Args:
        capability: compute capability as nvidia-smi prints it.

    Raises:
        ValueError: it is none, or too old for CUDA 13.
    """
    match = _CAPABILITY.fullmatch(capability)
    if match is None:
        raise ValueError("is no compute capability")
    major, minor = int(match[1]), int(match[2])
    if (major, minor) < _OLDEST_CAPABILITY:
        raise ValueError("a GPU of this compute capability is too old for CUDA 13")
    return f"{major}{minor}{'a' if major >= _SPECIFIC_SINCE else ''}-real"


def read_base(reference: str) -> Base | None:
    """Return a base image, or None where `reference` is not `REPOSITORY[:TAG]@sha256:DIGEST`."""
    match = _BASE.fullmatch(reference)
    if match is None:
        return None
    name, tag, digest = match["name"], match["tag"], match["digest"]
    return Base(f"{name}:{tag}" if tag else name, f"{name}@{digest}", digest)


_Found = tuple[str, str, str, str]  # variable, fault, what was found, remedy


def _faults(place: str, prefix: str, found: Iterable[_Found]) -> DocumentError:
    return DocumentError(
        [Fault(place, prefix + name, fault, repr(got) if got else None, remedy) for name, fault, got, remedy in found]
    )


def _build(variables: Mapping[str, Any], gpus: Iterable[Mapping[str, Any]]) -> EngineBuild:
    variant = str(variables["variant"])
    architectures = {str(word) for word in variables["cuda_architectures"]}
    if variant == "cuda" and not architectures:
        architectures = {cuda_architecture(capability) for capability in _capabilities(gpus)}
    return EngineBuild(
        variant=variant,
        commit=str(variables["commit"]),
        architectures=tuple(sorted(architectures, key=_by_number)) if variant == "cuda" else (),
        fa_all_quants=bool(variables["fa_all_quants"]),
        native=bool(variables["native"]),
        further_flags=tuple(str(flag) for flag in variables["cmake_flags"]),
    )


def _capabilities(gpus: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({str(gpu["compute_capability"]) for gpu in gpus if gpu.get("compute_capability")})


def _build_faults(variables: Mapping[str, Any], gpus: Iterable[Mapping[str, Any]]) -> Iterator[_Found]:
    variant, commit = str(variables["variant"]), str(variables["commit"])
    if variant not in {"cuda", "cpu"}:
        yield "variant", "must be cuda or cpu", variant, ""
    if not _COMMIT.fullmatch(commit):
        yield "commit", "must be 40 hex digits", commit, "`git rev-parse` prints them; a branch or a tag can change"
    for flag in map(str, variables["cmake_flags"]):
        if not _CMAKE_FLAG.fullmatch(flag):
            yield "cmake_flags", "must be -DNAME=VALUE without quotes, `$` and backslashes", flag, ""
    if variant == "cuda":
        yield from _architecture_faults([str(word) for word in variables["cuda_architectures"]], _capabilities(gpus))


def _base_faults(variables: Mapping[str, Any]) -> Iterator[_Found]:
    for name in ("build_base", "runtime_base"):
        reference = str(variables[name])
        if read_base(reference) is None:
            remedy = "a tag can change; ik_llama_image_base_registry says which registry"
            yield name, "must be REPOSITORY:TAG@sha256:DIGEST without a registry", reference, remedy


def _architecture_faults(named: list[str], capabilities: list[str]) -> Iterator[_Found]:
    for word in named:
        if not _ARCHITECTURE.fullmatch(word):
            yield "cuda_architectures", "has a word that is no CUDA architecture", word, "write them as 120a-real"
    if named:
        return
    if not capabilities:
        remedy = "run provision.yml, which finds them, name the architectures (120a-real), or set the variant to cpu"
        yield "cuda_architectures", "is empty, and no GPU of the boxes is known", "", remedy
    for capability in capabilities:
        try:
            cuda_architecture(capability)
        except ValueError as error:
            remedy = "name the architectures, and base images with a CUDA that knows them"
            yield "cuda_architectures", str(error), capability, remedy


def _by_number(architecture: str) -> tuple[int, str]:
    return int(re.split(r"\D", architecture)[0]), architecture

"""The profile document: one model, served one way.

A profile says what is served (model, engine), on what (GPUs), how (server options, placement of experts, speculative
stages, sampling) and who may reach it (port, security). `load_profile` in `profile_files.py` reads one from disk.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from gpubox.server_options import Sampling, ServerOptions, Text

NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$"  # also a valid systemd unit and container name
PATH_PATTERN = r"^/[^\n\x00]*$"
FILE_PATTERN = r"^[^/.\n\x00][^\n\x00]*\.gguf$"
REPO_PATTERN = r"^[\w.-]+/[\w.-]+$"
COMMIT_PATTERN = r"^[0-9a-f]{40}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
DEVICE_PATTERN = r"^(CPU|CUDA[0-9]{1,2})$"
IK_LLAMA_COMMIT = "29a54f4b04cc0281850574247db075e20d68e7f1"

Commit = Annotated[str, StringConstraints(pattern=COMMIT_PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=SHA256_PATTERN)]
AbsolutePath = Annotated[str, StringConstraints(pattern=PATH_PATTERN)]
Device = Annotated[str, StringConstraints(pattern=DEVICE_PATTERN)]
LayerRanges = Annotated[str, StringConstraints(pattern=r"^\s*\d{1,4}(-\d{1,4})?(\s*,\s*\d{1,4}(-\d{1,4})?)*\s*$")]
GpuUuid = Annotated[str, StringConstraints(pattern=r"^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ModelFile(_Part):
    """One file of a Hugging Face repository."""

    name: Annotated[str, StringConstraints(pattern=FILE_PATTERN)] = Field(
        description="path inside the repository; of a split model, name every part"
    )
    sha256: Sha256 | None = Field(default=None, description="expected hash; the hub's own is used when left out")


class Model(_Part):
    """What is served: files of a pinned Hugging Face revision, or a file that is already on the box."""

    repo: Annotated[str, StringConstraints(pattern=REPO_PATTERN)] | None = Field(
        default=None, description="Hugging Face repository, ORG/NAME"
    )
    revision: Commit | None = Field(default=None, description="commit of the repository, 40 hex digits")
    files: list[ModelFile] | None = Field(default=None, min_length=1, description="files; the first one is loaded")
    path: AbsolutePath | None = Field(default=None, description="a GGUF on the box instead of a repository")
    sha256: Sha256 | None = Field(default=None, description="expected hash of `path`")


class Engine(_Part):
    """Which server program, and the image that holds it."""

    name: Literal["ik_llama", "llama_cpp"] = Field(default="ik_llama", description="ik_llama.cpp or llama.cpp")
    commit: Commit | None = Field(
        default=None, description=f"source commit, 40 hex digits (ik_llama: {IK_LLAMA_COMMIT[:7]} by default)"
    )
    image: Text | None = Field(default=None, description="container image; by default the one built for the box")


class Experts(_Part):
    """Where the routed experts of some layers go, in words; becomes one tensor override."""

    layers: LayerRanges = Field(description="layer numbers and ranges: `3-6,40-42`")
    device: Device = Field(description="CPU, CUDA0, CUDA1, …")
    tensors: list[Literal["gate", "up", "down"]] = Field(
        default=["gate", "up", "down"], min_length=1, description="which of the three expert matrices"
    )


class SpeculativeStage(_Part):
    """One stage of speculative decoding; stages are tried in order."""

    type: Literal[
        "mtp", "draft", "dflash", "eagle3", "suffix",
        "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache",
    ] = Field(description="kind of draft")  # fmt: skip  # the engine's list, in two lines
    n_max: Annotated[int, Field(ge=0, le=1024)] | None = Field(default=None, description="most tokens per draft")
    n_min: Annotated[int, Field(ge=0, le=1024)] | None = Field(default=None, description="fewest tokens per draft")
    p_min: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="least probability of a draft token"
    )
    cross_ctx: Annotated[int, Field(ge=1)] | None = Field(default=None, description="dflash: cross context")
    ngram_size_n: Annotated[int, Field(ge=1, le=1024)] | None = Field(default=None, description="n-gram looked up")
    ngram_size_m: Annotated[int, Field(ge=1, le=1024)] | None = Field(default=None, description="n-gram proposed")
    ngram_min_hits: Annotated[int, Field(ge=1)] | None = Field(default=None, description="hits before it is proposed")
    suffix_min_match_len: Annotated[int, Field(ge=1)] | None = Field(default=None, description="shortest suffix match")
    suffix_max_depth: Annotated[int, Field(ge=1)] | None = Field(default=None, description="depth of the suffix tree")
    suffix_corpus: Text | None = Field(default=None, description="file on the box with the suffix corpus")


class Health(_Part):
    """When the server counts as started, as healthy, and how long stopping may take."""

    start_timeout: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=1800,
        description="seconds from start to the first good completion; a model that takes longer to read at 100 MB/s has that time",
    )
    stop_timeout: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="seconds before SIGKILL, as a Quadlet at least 10"
    )
    interval: Annotated[int, Field(ge=1, le=3600)] = Field(default=30, description="seconds between probes")
    timeout: Annotated[int, Field(ge=1, le=600)] = Field(default=5, description="seconds that one probe may take")
    retries: Annotated[int, Field(ge=1, le=100)] = Field(default=3, description="failed probes until unhealthy")


class Security(_Part):
    """Who may reach the server."""

    listen: Literal["loopback", "lan"] = Field(
        default="loopback", description="publish the port on 127.0.0.1 only, or on every address of the box"
    )
    api_key_file: AbsolutePath | None = Field(default=None, description="file on the box with API keys, one a line")


class Published(BaseModel):
    """Results that somebody published for this profile; kept beside measured ones, never part of the behaviour."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    pp_tps: list[float] | None = Field(
        default=None, description="PP, tokens/s: one value or low and high", max_length=2
    )
    tg_tps: list[float] | None = Field(
        default=None, description="TG, tokens/s: one value or low and high", max_length=2
    )
    acceptance: list[float] | None = Field(default=None, description="draft acceptance, 0 to 1", max_length=2)
    vram_gb: list[float] | None = Field(default=None, description="VRAM per GPU, GB", max_length=16)
    note: str | None = Field(default=None, description="what the source says beside numbers")
    source: Text = Field(description="where the figures stand")


class Profile(_Part):
    """A profile: one file in `inventory/profiles/`."""

    extends: Annotated[str, StringConstraints(pattern=NAME_PATTERN)] | None = Field(
        default=None, description="a profile to start from: maps merge, lists replace, null removes"
    )
    description: str = Field(default="", description="one line for people")
    model: Model = Field(description="what is served")
    engine: Engine = Field(default=Engine(), description="which server program")
    gpus: Literal["all", "none"] | list[Annotated[int, Field(ge=0, le=63)] | GpuUuid] = Field(
        default="all", description="`all`, `none`, or a list of indices or UUIDs"
    )
    server: ServerOptions = Field(default=ServerOptions(), description="llama-server's options")
    experts: list[Experts] = Field(default=[], description="placement of routed experts, first match wins")
    override_tensor: list[Text] = Field(default=[], description="raw tensor overrides REGEX=DEVICE, after the words")
    speculative: list[SpeculativeStage] = Field(default=[], max_length=2, description="speculative decoding")
    extra_args: list[str] = Field(default=[], description="further arguments, in order, at the end")
    sampling: Sampling = Field(default=Sampling(), description="default sampling")
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(default=8000, description="port on the box")
    health: Health = Field(default=Health(), description="start and health limits")
    security: Security = Field(default=Security(), description="who may reach it")
    published: Published | None = Field(default=None, description="published results, for comparison")

    def behaviour(self) -> dict[str, JsonValue]:
        """Return what changes behaviour, without defaults: the input of `profile_hash`."""
        document = self.model_dump(mode="json", exclude_defaults=True)
        for name in ("extends", "description", "published"):
            document.pop(name, None)
        return document

    def document(self) -> dict[str, JsonValue]:
        """Return the whole resolved document, without defaults, as it is kept with results."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"extends"})


def profile_hash(profile: Profile) -> str:
    """Return a SHA-256 (64 hex digits) over what changes behaviour.

    It is the same for two documents that serve alike: comments, descriptions, published results, the order of keys,
    `extends` and defaults written out do not count; the order of lists does.
    """
    canonical = json.dumps(profile.behaviour(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the profile document."""
    schema = Profile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gpubox profile", **schema}

"""Rules between a profile's fields, which no single field can check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.argv import FLAGS_WITH_A_HOME, layer_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.profile import Profile
    from gpubox.server_options import Options

Place = tuple[str | int, ...]

# Chains that ik_llama.cpp at 29a54f4 accepts (common/common.cpp, common_speculative_validate_chain).
_SELF_SPECULATIVE = {"suffix", "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"}
_AFTER_SELF_SPECULATIVE = {"mtp", "draft"}
_DRAFT_MODEL_FLAGS = {"-md", "--model-draft", "-draft", "--draft-params"}
_SECRET_FLAGS = {"--api-key", "-hft", "--hf-token"}
_IK_SPLIT_MODES = {"graph", "attn"}


@dataclass(frozen=True)
class Broken:
    """A rule that a profile breaks.

    Attributes:
        place: where in the document.
        fault: what is wrong.
        remedy: what to do.
        show_value: whether the value at `place` helps the reader.
    """

    place: Place
    fault: str
    remedy: str = ""
    show_value: bool = False


def broken_rules(profile: Profile) -> list[Broken]:
    """Return every rule that the profile breaks, in no particular order."""
    return [
        *_model(profile),
        *_gpus(profile),
        *_engine(profile),
        *_contradictions(profile),
        *_experts(profile),
        *_speculative(profile),
        *_extra_args(profile),
    ]


def _model(profile: Profile) -> Iterator[Broken]:
    model = profile.model
    if (model.repo is None) == (model.path is None):
        fault = "has both a repo and a path" if model.repo else "needs a repo or a path"
        yield Broken(("model",), fault, "give `repo`, `revision` and `files`, or `path`")
        return
    if model.repo is not None:
        if model.revision is None:
            yield Broken(("model", "revision"), "is required with a repo", "pin the commit: 40 hex digits")
        if model.files is None:
            yield Broken(("model", "files"), "is required with a repo", "name the .gguf file, or every part of it")
        if model.sha256 is not None:
            yield Broken(("model", "sha256"), "goes with `path`", "give each file its own sha256")
        for index, file in enumerate(model.files or ()):
            if ".." in file.name.split("/"):
                place: Place = ("model", "files", index, "name")
                yield Broken(place, "leads out of the repository", "remove `..`", show_value=True)
    else:
        for name in ("revision", "files"):
            if getattr(model, name) is not None:
                yield Broken(("model", name), "goes with `repo`, not with `path`", "remove it")


def _gpus(profile: Profile) -> Iterator[Broken]:
    if isinstance(profile.gpus, str):
        return
    if not profile.gpus:
        yield Broken(("gpus",), "is an empty list", "write `none` to use no GPU")
    if len(set(profile.gpus)) < len(profile.gpus):
        yield Broken(("gpus",), "names a GPU twice", show_value=True)


def _engine(profile: Profile) -> Iterator[Broken]:
    engine = profile.engine.name
    for group, options in (("server", profile.server), ("sampling", profile.sampling)):
        for name, _ in options.written():
            extra = type(options).model_fields[name].json_schema_extra
            if isinstance(extra, dict) and engine not in (extra["x-engines"] or []):  # type: ignore[operator]
                yield Broken((group, name), f"is an option of ik_llama, not of {engine}", "remove it or change engine")
    if engine == "ik_llama" and profile.server.split_mode == "row":
        yield Broken(("server", "split_mode"), "`row` is a mode of llama_cpp, not of ik_llama", "use layer or graph")
    if engine == "llama_cpp":
        if profile.server.split_mode in _IK_SPLIT_MODES:
            mode = profile.server.split_mode
            yield Broken(("server", "split_mode"), f"`{mode}` is a mode of ik_llama, not of llama_cpp", "use layer")
        if profile.speculative:
            remedy = "give that engine's own flags in extra_args"
            yield Broken(("speculative",), "stages are written for ik_llama, not for llama_cpp", remedy)


def _contradictions(profile: Profile) -> Iterator[Broken]:
    server = profile.server
    for name, value in server.written():
        opposite = f"no_{name}"
        if value != "off" and getattr(server, opposite, None):
            yield Broken(("server", opposite), f"contradicts server.{name}", "keep one of them")
    if server.split_mode_f16 and server.split_mode_f32:
        yield Broken(("server", "split_mode_f32"), "contradicts server.split_mode_f16", "keep one of them")
    if server.fit and (profile.override_tensor or profile.experts or server.n_cpu_moe is not None):
        what = "n_cpu_moe" if server.n_cpu_moe is not None else "tensor overrides"
        yield Broken(("server", "fit"), f"the engine refuses `fit` together with {what}", "remove one of them")


def _experts(profile: Profile) -> Iterator[Broken]:
    count = len(profile.gpus) if isinstance(profile.gpus, list) else None
    for index, rule in enumerate(profile.experts):
        layers = layer_numbers(rule.layers)
        if layers is None:
            yield Broken(("experts", index, "layers"), "has a range that runs backwards", show_value=True)
        if rule.device != "CPU":
            gpu = int(rule.device.removeprefix("CUDA"))
            if profile.gpus == "none":
                yield Broken(("experts", index, "device"), "the profile uses no GPU", "use CPU", show_value=True)
            elif count is not None and gpu >= count:
                fault = f"the profile uses {count} GPU{'s' * (count != 1)}"
                last = f"CUDA0 to CUDA{count - 1}" if count > 1 else "CUDA0"
                yield Broken(("experts", index, "device"), fault, f"the engine numbers them {last}", show_value=True)


def _speculative(profile: Profile) -> Iterator[Broken]:
    stages = profile.speculative
    has_draft_model = bool(_DRAFT_MODEL_FLAGS.intersection(profile.extra_args))
    for index, stage in enumerate(stages):
        if stage.n_min is not None and stage.n_max is not None and stage.n_min > stage.n_max:
            yield Broken(("speculative", index, "n_min"), f"is more than n_max, {stage.n_max}", show_value=True)
        if stage.type in {"draft", "dflash"} and not has_draft_model:
            remedy = "add --model-draft FILE to extra_args"
            yield Broken(("speculative", index, "type"), f"`{stage.type}` needs a draft model", remedy)
    if len(stages) == 2:
        first, second = stages[0].type, stages[1].type
        if first == second:
            yield Broken(("speculative", 1, "type"), "is the same as the first stage's", show_value=True)
        elif first not in _SELF_SPECULATIVE or second not in _AFTER_SELF_SPECULATIVE:
            remedy = "two stages are an n-gram or suffix stage, then mtp or draft"
            yield Broken(("speculative",), f"the engine refuses {first} followed by {second}", remedy)


def _extra_args(profile: Profile) -> Iterator[Broken]:
    typed: dict[str, str] = {}
    groups: tuple[tuple[str, Options], ...] = (("server", profile.server), ("sampling", profile.sampling))
    for group, options in groups:
        for name, _ in options.written():
            typed["--" + name.replace("_", "-")] = f"{group}.{name}"
    for index, argument in enumerate(profile.extra_args):
        flag = "--" + argument[2:].replace("_", "-") if argument.startswith("--") else argument
        place: Place = ("extra_args", index)
        if "\0" in argument:
            yield Broken(place, "contains a NUL character, which no command line can carry")
        elif flag.split("=")[0] in _SECRET_FLAGS:
            yield Broken(
                place, f"{flag.split('=')[0]} would show a secret on the command line", "use security.api_key_file"
            )
        elif home := FLAGS_WITH_A_HOME.get(flag):
            yield Broken(place, f"{argument} has its own field", f"use {home}")
        elif flag in typed:
            yield Broken(place, f"{argument} is also set by {typed[flag]}", "keep one of them")

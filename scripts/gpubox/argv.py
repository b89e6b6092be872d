"""A profile as a llama-server command line.

The order is fixed and part of the profile's meaning: model, server options in the order of their fields, tensor
overrides (words, then raw: the engine takes the first that matches), speculative stages, sampling, address, and last
the extra arguments as they stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.server_options import word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.profile import Experts, Profile, SpeculativeStage

Place = tuple[str | int, ...]

# Flags that a profile writes from fields of its own: they can't stand in `extra_args`.
FLAGS_WITH_A_HOME = {
    "-m": "model",
    "--model": "model",
    "-hf": "model",
    "-hfr": "model",
    "--hf-repo": "model",
    "-hff": "model",
    "--hf-file": "model",
    "-mu": "model",
    "--model-url": "model",
    "--host": "security.listen",
    "--port": "port",
    "--api-key-file": "security.api_key_file",
}


def server_argv(
    profile: Profile, *, name: str, model: str, host: str, port: int, api_key_file: str | None = None
) -> tuple[str, ...]:
    """Return the arguments of llama-server for a profile, without the program's name.

    Args:
        profile: the resolved profile.
        name: the profile's name; the model's alias unless `server.alias` is set.
        model: path of the model file as the server sees it.
        host: address to listen on, as the server sees it.
        port: port to listen on, as the server sees it.
        api_key_file: the profile's file of API keys as the server sees it; by default where the profile says.
    """
    pieces = written(profile, name=name, model=model, host=host, port=port, api_key_file=api_key_file)
    return tuple(word for _, words in pieces for word in words)


def written(
    profile: Profile, *, name: str, model: str, host: str, port: int, api_key_file: str | None = None
) -> Iterator[tuple[Place, list[str]]]:
    """Yield the command line in pieces, each with the place in the document that it is written from.

    The arguments are those of `server_argv`.
    """
    yield ("model",), ["--model", model]
    for field, words in profile.server.argv():
        yield ("server", field), words
    if profile.server.alias is None:
        yield (), ["--alias", name]
    for index, rule in enumerate(profile.experts):
        yield ("experts", index), ["--override-tensor", expert_override(rule)]
    for index, override in enumerate(profile.override_tensor):
        yield ("override_tensor", index), ["--override-tensor", override]
    for index, stage in enumerate(profile.speculative):
        yield ("speculative", index), ["--spec-type", speculative_stage(stage)]
    for field, words in profile.sampling.argv():
        yield ("sampling", field), words
    yield (), ["--host", host]
    yield ("port",), ["--port", str(port)]
    if profile.security.api_key_file is not None:
        yield ("security", "api_key_file"), ["--api-key-file", api_key_file or profile.security.api_key_file]
    for index, argument in enumerate(profile.extra_args):
        yield ("extra_args", index), [argument]


def layer_numbers(text: str) -> list[int] | None:
    """Return the layers that `3-6,40-42` names, sorted, without repeats; None where a range runs backwards."""
    layers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if last and int(last) < int(first):
            return None
        layers.update(range(int(first), int(last or first) + 1))
    return sorted(layers)


def expert_override(rule: Experts) -> str:
    """Return the tensor override for a placement in words.

    The pattern is searched for, not anchored, and must hold neither a comma nor `=`, at which the engine splits
    (ik_llama.cpp at 29a54f4, common/common.cpp:823). `gate_up` is the merged tensor of newer files.
    """
    layers = layer_numbers(rule.layers) or []
    numbers = "|".join(map(str, layers))
    tensors: list[str] = list(dict.fromkeys(rule.tensors))
    if {"gate", "up"} <= set(tensors):
        tensors.append("gate_up")
    pattern = rf"blk\.({numbers})\.ffn_({'|'.join(tensors)})_exps\.weight"
    return f"{pattern}={rule.device}"


def speculative_stage(stage: SpeculativeStage) -> str:
    """Return a stage as `--spec-type` takes it: `mtp:n_max=4,p_min=0.5`."""
    pairs = []
    for key, value in stage.model_dump(exclude={"type"}, exclude_none=True).items():
        text = word(value)
        if key == "suffix_corpus" and any(character in text for character in ",'\"\\"):
            text = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        pairs.append(f"{key}={text}")
    return stage.type + (":" + ",".join(pairs) if pairs else "")

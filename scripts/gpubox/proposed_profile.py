"""A proposal of `gpubox.fill` as a profile: what to write, and the profile that comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpubox.catalogue.options import words
from gpubox.profile import Profile

if TYPE_CHECKING:
    from gpubox.catalogue.options import Catalogue
    from gpubox.fill import Proposal

# Options that a proposal decides, by their canonical names.
_DECIDED = ("--n-gpu-layers", "--override-tensor", "--cpu-moe", "--n-cpu-moe", "--split-mode", "--fit")


def proposed_layer(profile: Profile, proposal: Proposal, catalogue: Catalogue) -> dict[str, Any]:
    """Return the document that, laid over a profile, makes it the proposal.

    Args:
        profile: the profile as it stands.
        proposal: what is to become of it.
        catalogue: the engine's options, to find those of the raw arguments that contradict the proposal.
    """
    asked = profile.server.model_dump(exclude_none=True)
    # The engine takes any larger number for all layers; a profile's own is kept where it says that.
    layers = proposal.placement.flags.n_gpu_layers
    everything = layers > proposal.placement.model.n_layer
    server: dict[str, Any] = {} if everything and asked.get("n_gpu_layers", 0) >= layers else {"n_gpu_layers": layers}
    server |= {name: value for name, value in proposal.settings.items() if name != "n_gpu_layers"}
    if not asked.get("ctx_size") and "--ctx-size" not in _named(profile, catalogue):
        server.setdefault("ctx_size", proposal.placement.n_ctx)
    server |= {name: None for name in ("cpu_moe", "n_cpu_moe", "fit") if name in asked}
    if asked.get("split_mode", "layer") not in {"layer", "none"}:
        server["split_mode"] = None
    layer: dict[str, Any] = {"server": server} if server else {}
    if proposal.groups or profile.experts:
        layer["experts"] = [group.words() for group in proposal.groups]
    if profile.override_tensor:
        layer["override_tensor"] = []
    decided = {*_DECIDED, *(f"--{name.replace('_', '-')}" for name in proposal.settings)}
    kept = [
        text
        for word in words(catalogue, profile.extra_args)
        if word.option is None or word.option.name not in decided
        for text in (word.flag, *word.values)
    ]
    if kept != list(profile.extra_args):
        layer["extra_args"] = kept
    return layer


def _named(profile: Profile, catalogue: Catalogue) -> set[str]:
    """Return the canonical names of the options among the raw arguments."""
    return {word.option.name for word in words(catalogue, profile.extra_args) if word.option is not None}


def laid_over(profile: Profile, layer: dict[str, Any]) -> Profile:
    """Return the profile with a layer on top: maps merge, anything else replaces, null removes."""
    document = profile.model_dump(mode="python", exclude_unset=True, exclude_none=True)
    for key, value in layer.items():
        document[key] = {**document.get(key, {}), **value} if isinstance(value, dict) else value
    document["server"] = {name: value for name, value in document.get("server", {}).items() if value is not None}
    return Profile.model_validate(document)

"""The smallest changes that make a placement fit, each proved by placing anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from gpubox.placement.model import is_expert
from gpubox.placement.placement import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpubox.placement.flags import Flags
    from gpubox.placement.placement import Placement

_CONTEXT_STEP = 1024  # tokens
_SHORTEST_CONTEXT = 4096
_CACHE_TYPES = ("f16", "q8_0", "q6_0", "q5_0", "q4_0")  # from large to small
_SMALLEST_BATCH = 256


@dataclass(frozen=True)
class Change:
    """One change that makes it fit.

    Attributes:
        text: what to write, and what it does.
        placement: what comes of it.
    """

    text: str
    placement: Placement


def nearest_changes(placement: Placement) -> list[Change]:
    """Return changes of one flag that make the placement fit, the gentlest kind first; empty where none does."""
    tried = (_cache_type, _capped_attention, _smaller_batch, _experts_to_host, _fewer_layers, _shorter_context)
    return [change for attempt in tried for change in attempt(placement)]


def _cache_type(placement: Placement) -> Iterator[Change]:
    current = placement.flags.cache_type_k
    later = _CACHE_TYPES[_CACHE_TYPES.index(current) + 1 :] if current in _CACHE_TYPES else ()
    for name in later:
        flags = replace(placement.flags, cache_type_k=name)
        text = f"-ctk {name}"
        if not placement.model.mla:
            if not flags.flash_attn:
                return
            flags, text = replace(flags, cache_type_v=name), f"-ctk {name} -ctv {name}"
        result = place(placement.model, flags, placement.machine)
        if result.fits:
            yield Change(f"{text}: a smaller KV cache", result)
            return


def _capped_attention(placement: Placement) -> Iterator[Change]:
    flags = placement.flags
    if placement.mla > 1 and not 0 < flags.attention_max_batch <= 512:
        result = place(placement.model, replace(flags, attention_max_batch=512), placement.machine)
        if result.fits:
            yield Change("-amb 512: smaller compute buffers", result)


def _smaller_batch(placement: Placement) -> Iterator[Change]:
    size = placement.flags.ubatch_size // 2
    while size >= _SMALLEST_BATCH:
        result = place(placement.model, replace(placement.flags, ubatch_size=size), placement.machine)
        if result.fits:
            yield Change(f"-ub {size}: smaller compute buffers, slower prompts", result)
            return
        size //= 2


def _experts_to_host(placement: Placement) -> Iterator[Change]:
    """Send the experts of some layers to the host, from the last of each GPU that is too full, in turns."""
    model, flags = placement.model, placement.flags
    homes = placement.weights.homes
    over = [number for number, device in enumerate(placement.devices[:-1]) if device.over]
    by_gpu: list[list[int]] = [[] for _ in over]
    for layer in range(model.n_layer - 1, -1, -1):
        held = {homes[name] for name in model.layers[layer] if is_expert(name) and name in homes}
        for number, gpu in enumerate(over):
            if gpu in held:
                by_gpu[number].append(layer)
                break
    candidates = [layer for turn in zip_longest(*by_gpu) for layer in turn if layer is not None]

    def with_host(count: int) -> Flags:
        numbers = "|".join(str(layer) for layer in sorted(candidates[:count]))
        rule = (rf"blk\.({numbers})\.ffn_(gate|up|down|gate_up)_exps\.weight", "CPU")
        return replace(flags, overrides=(rule, *flags.overrides))

    count = _fewest(len(candidates), lambda count: place(model, with_host(count), placement.machine).fits)
    if count:
        result = place(model, with_host(count), placement.machine)
        pattern = result.flags.overrides[0][0]
        text = f"-ot '{pattern}=CPU' before the other overrides: the experts of {count} more layer{'s' * (count > 1)} on the host"
        yield Change(text, result)


def _fewer_layers(placement: Placement) -> Iterator[Change]:
    model, flags = placement.model, placement.flags
    top = min(flags.n_gpu_layers, model.n_layer + 1)
    if top <= 0:
        return

    def fits(fewer: int) -> bool:
        return place(model, replace(flags, n_gpu_layers=top - fewer), placement.machine).fits

    fewer = _fewest(top, fits)
    if fewer:
        result = place(model, replace(flags, n_gpu_layers=top - fewer), placement.machine)
        yield Change(f"-ngl {top - fewer}: {fewer} layer{'s' * (fewer > 1)} fewer on the GPUs", result)


def _shorter_context(placement: Placement) -> Iterator[Change]:
    model, flags = placement.model, placement.flags
    steps = (placement.n_ctx - _SHORTEST_CONTEXT) // _CONTEXT_STEP

    def shortened(fewer: int) -> Placement:
        length = (placement.n_ctx // _CONTEXT_STEP - fewer) * _CONTEXT_STEP
        return place(model, replace(flags, ctx_size=length), placement.machine)

    if steps < 1:
        return
    shortest = shortened(steps)
    if not shortest.fits:
        return
    # What a context takes grows nearly evenly with its length, so the answer is close to where a line crosses.
    shares = [
        device.over / (device.total - least.total)
        for device, least in zip(placement.devices, shortest.devices, strict=True)
        if device.over
    ]
    fewer = _fewest(steps, lambda fewer: shortened(fewer).fits, guess=round(steps * max(shares, default=0)))
    if fewer:
        result = shortened(fewer)
        yield Change(f"-c {result.flags.ctx_size}: a shorter context", result)


def _fewest(most: int, fits: Callable[[int], bool], guess: int = 0) -> int | None:
    """Return the smallest number from 1 to `most` that fits, taking it that more always fits better; None if none.

    Args:
        most: the largest number to try.
        fits: whether a number does.
        guess: where to look first; 0: in the middle.
    """
    if most < 1 or not fits(most):
        return None
    low, high, step = 1, most, 1
    probe = guess
    while low <= probe < high:
        if fits(probe):
            high, probe = probe, probe - step
        else:
            low, probe = probe + 1, probe + step
        step *= 2
    while low < high:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle + 1
    return low

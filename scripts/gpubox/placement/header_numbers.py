"""The numbers of a header, within the bounds in which a model can be placed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.errors import ModelFileError

if TYPE_CHECKING:
    from gpubox.gguf import GgufHeader

MAX_LAYERS = 4096  # published models have up to about 130
MAX_WIDTH = 2**20  # of the hidden state, a head, a rank; heads and experts of a layer
MAX_CONTEXT = 2**32 - 1  # some models say -1 for no limit
_CONVERT = "convert the model again"


def number(header: GgufHeader, key: str, default: int | None = None, *, most: int = MAX_WIDTH, least: int = 0) -> int:
    """Return the architecture's own integer `key`.

    Args:
        header: the header.
        key: behind the architecture's name.
        default: for headers without it; None where there must be one.
        most: the largest plausible value.
        least: the smallest.

    Raises:
        ModelFileError: it is missing, no integer, or implausible.
    """
    value = header.meta(key)
    if value is None and default is not None:
        return default
    found = header.meta_int(key)
    _check(header, key, found, least, most)
    return found


def by_layer(header: GgufHeader, key: str, n_layer: int, default: int) -> tuple[int, ...]:
    """Return a number for each layer, from one number or an array of them.

    Raises:
        ModelFileError: as `number`.
    """
    value = header.meta(key)
    if not isinstance(value, tuple):
        return (number(header, key, default),) * n_layer
    numbers = [item for item in value if isinstance(item, int) and not isinstance(item, bool)]
    if not numbers or len(numbers) != len(value):
        raise ModelFileError(header.place, f"metadata '{header.architecture}.{key}' is no array of integers", _CONVERT)
    for item in numbers:
        _check(header, key, item, 0, MAX_WIDTH)
    return tuple((numbers + numbers[-1:] * n_layer)[:n_layer])


def scales_experts(header: GgufHeader) -> bool:
    """Return whether experts' weights are scaled: by more than a hundred-thousandth (build-context.cpp:1143)."""
    scale = header.meta("expert_weights_scale")
    return isinstance(scale, float) and abs(scale - 1) > 1e-5


def _check(header: GgufHeader, key: str, found: int, least: int, most: int) -> None:
    if not least <= found <= most:
        fault = f"metadata '{header.architecture}.{key}' is {found}; {least} to {most} are plausible"
        raise ModelFileError(header.place, fault, _CONVERT)

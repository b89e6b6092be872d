"""What the flags of samples mean, in words, with how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpubox.record import Sample


def in_words(flag: str, samples: Sequence[Sample]) -> str:
    """Return a flag with its reason; one that says it already, or that is not known, stays as it is.

    Args:
        flag: as `gpubox.bench.measure.sample_flags` sets it.
        samples: of one run, that have it.
    """
    match flag:
        case "clocks-disagree-pp":
            return f"{flag}: TTFT is {_apart((s.prompt_ms, s.ttft_ms) for s in samples)} the server's prompt time"
        case "clocks-disagree-tg":
            return f"{flag}: tokens took {_apart(_spans(s) for s in samples)} the server says"
        case "dropped-tokens":
            lost = sum((s.predicted_n or 0) - s.delivered_n for s in samples)
            return f"{flag}: {lost} tokens were counted by the server and never sent"
        case "no-server-timings":
            return f"{flag}: the server tells no times, ours alone count"
    return flag


def _spans(sample: Sample) -> tuple[float | None, float | None]:
    """Return the time of the same steps by the server's clock and by ours, milliseconds."""
    server, client = sample.tg_tps, sample.client_tg_tps
    steps = sample.delivered_n - 1
    return (steps / server * 1e3 if server else None), (steps / client * 1e3 if client else None)


def _apart(pairs: Iterable[tuple[float | None, float | None]]) -> str:
    """Return how far the second of two times is from the first, where they are furthest apart."""
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not known:
        return "other than"
    one, other = max(known, key=lambda pair: abs(pair[1] - pair[0]))
    percent = f" ({abs(other / one - 1) * 100:.1f} %)" if one else ""
    return f"{abs(other - one):.0f} ms{percent} {'more' if other > one else 'less'} than"

"""Look for the first fault of an answer that should be code, and say where it is in tokens."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from gpubox.quality.first_fault import first_fault

if TYPE_CHECKING:
    from gpubox.endpoint import Endpoint
    from gpubox.record import Sample

_END_OF_REASONING = "</think>"


def check_code(endpoint: Endpoint, sample: Sample, reasoning: int) -> Sample:
    """Return a sample with the tokens before its first fault, a flag that tells the fault, and its place.

    What a model reasons before it answers is no code and is not judged, but its tokens count: they were generated.

    Args:
        endpoint: whose tokenizer counts.
        sample: with the answer's text.
        reasoning: characters of the text that the server marked as reasoning.
    """
    text = str(sample.extra["answer"])
    begin = max(reasoning, text.rfind(_END_OF_REASONING) + len(_END_OF_REASONING) if _END_OF_REASONING in text else 0)
    fault = first_fault(text[begin:], cut=sample.delivered_n >= sample.requested_n)
    if fault is None:
        return replace(sample, clean_n=sample.delivered_n)
    before = text[: begin + fault.character]
    tokens = endpoint.post_json("/tokenize", {"content": before}).get("tokens") if before else []
    clean = min(sample.delivered_n, len(tokens) if isinstance(tokens, list) else 0)
    flag = f"fault after {clean} tokens (line {fault.line}): {fault.text}"
    return replace(
        sample, clean_n=clean, flags=(*sample.flags, flag), extra=sample.extra | {"first_fault": asdict(fault)}
    )

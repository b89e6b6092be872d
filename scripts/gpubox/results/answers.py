"""Whether two runs gave the same answers to the same prompts, at temperature 0: proof of equal work.

A server that drafts may stop a few tokens early, so an answer that begins another one counts as the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.record import Sample

AROUND = 40  # characters shown on each side of where two answers part


@dataclass(frozen=True)
class Change:
    """Where two answers to one prompt part.

    Attributes:
        index: of the sample of A.
        position: of the first character that differs; None where only hashes were kept.
        a, b: the answers around that place.
    """

    index: int
    position: int | None
    a: str
    b: str


@dataclass(frozen=True)
class Answers:
    """The answers that two runs gave to prompts that both were asked.

    Attributes:
        compared: how many prompts both answered.
        changed: to how many of them the answers differ.
        first: the first of these; None without one.
    """

    compared: int
    changed: int
    first: Change | None

    @property
    def sentence(self) -> str:
        """What can be said, in words."""
        if not self.changed:
            return f"the same answers to all {self.compared} prompts that both were asked"
        text = f"{self.changed} of {self.compared} answers changed"
        if self.first is None or self.first.position is None:
            return text
        return f"{text}; the first at character {self.first.position}: A {self.first.a!r}, B {self.first.b!r}"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return asdict(self)


def compare_answers(a: Sequence[Sample], b: Sequence[Sample]) -> Answers | None:
    """Compare the answers of the valid samples of two runs; None where no prompt was asked of both.

    Args:
        a: samples with `answer_sha256` and, in `extra`, `prompt_sha256`; with `answer`, the text, a change is located.
        b: likewise.
    """
    of_b = {prompt: sample for sample in b if sample.valid and (prompt := sample.extra.get("prompt_sha256"))}
    pairs = [
        (sample, of_b[prompt]) for sample in a if sample.valid and (prompt := sample.extra.get("prompt_sha256")) in of_b
    ]
    if not pairs:
        return None
    changes = [change for one, other in pairs if (change := _change(one, other))]
    return Answers(len(pairs), len(changes), changes[0] if changes else None)


def _change(one: Sample, other: Sample) -> Change | None:
    if one.answer_sha256 == other.answer_sha256:
        return None
    a, b = one.extra.get("answer"), other.extra.get("answer")
    if not isinstance(a, str) or not isinstance(b, str):
        return Change(one.index, None, "", "")
    position = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    if position is None:
        return None
    start = max(0, position - AROUND)
    return Change(one.index, position, a[start : position + AROUND], b[start : position + AROUND])

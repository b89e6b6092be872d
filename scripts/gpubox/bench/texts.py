"""The prompts that make draft acceptance real: texts of the kinds that people ask about.

Random words are as good as any for speed without drafts; how many drafts are accepted depends on what is written.
"""

from __future__ import annotations

from importlib import resources


def text_names() -> list[str]:
    """Return the names of the shipped texts, sorted."""
    folder = resources.files("gpubox.bench").joinpath("texts")
    return sorted(file.name.removesuffix(".txt") for file in folder.iterdir() if file.name.endswith(".txt"))


def prompt_of(name: str) -> str:
    """Return the prompt of a shipped text, as it is sent."""
    return resources.files("gpubox.bench").joinpath("texts", f"{name}.txt").read_text("utf-8").strip()

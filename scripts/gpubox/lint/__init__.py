"""Lint that teaches: what a command line does not do for this model and box, why, and what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.lint.command_line import CommandLine
from gpubox.lint.finding import Finding
from gpubox.lint.flag_rules import flag_findings
from gpubox.lint.memory_rules import memory_findings
from gpubox.lint.overrides import override_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.catalogue.options import Catalogue
    from gpubox.placement import Placement

__all__ = ["CommandLine", "Finding", "lint"]

_ORDER = {"error": 0, "warning": 1, "note": 2}


def lint(catalogue: Catalogue, argv: Sequence[str], placement: Placement) -> list[Finding]:
    """Return all findings, errors first, then in the order of the command line.

    Args:
        catalogue: the engine's options.
        argv: the arguments of llama-server, without the program's name.
        placement: what `place` made of them.
    """
    line = CommandLine(catalogue, argv, placement)
    findings = [*override_findings(line), *flag_findings(line), *memory_findings(line)]
    last = len(argv)
    return sorted(findings, key=lambda one: (_ORDER[one.level], last if one.index is None else one.index))

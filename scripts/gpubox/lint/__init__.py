"""Lint that teaches: what a command line does not do for this model and box, why, and what to write instead."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gpubox.lint.command_line import Arguments, CommandLine
from gpubox.lint.finding import Finding
from gpubox.lint.flag_rules import flag_findings
from gpubox.lint.memory_rules import memory_findings
from gpubox.lint.overrides import override_findings
from gpubox.lint.setting_rules import setting_findings
from gpubox.placement.flags import read_flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.catalogue.options import Catalogue
    from gpubox.placement import Placement

__all__ = ["CommandLine", "Finding", "lint", "lint_settings"]

_ORDER = {"error": 0, "warning": 1, "note": 2}


def lint(catalogue: Catalogue, argv: Sequence[str], placement: Placement) -> list[Finding]:
    """Return all findings, errors first, then in the order of the command line.

    Args:
        catalogue: the engine's options.
        argv: the arguments of llama-server, without the program's name.
        placement: what `place` made of them.
    """
    line = CommandLine(catalogue, argv, placement)
    settings = setting_findings(line, placement.flags, placement.split_mode, len(placement.machine.gpus))
    return _sorted([*override_findings(line), *flag_findings(line), *settings, *memory_findings(line)])


def lint_settings(catalogue: Catalogue, argv: Sequence[str], gpus: int) -> list[Finding]:
    """Return the findings that need neither model nor memory, in the same order.

    Args:
        catalogue: the engine's options.
        argv: the arguments of llama-server, without the program's name.
        gpus: the number of GPUs that the engine will see.
    """
    flags = read_flags(argv, catalogue)
    return _sorted(list(setting_findings(Arguments(catalogue, argv), flags, flags.split_mode, gpus)))


def _sorted(findings: Sequence[Finding]) -> list[Finding]:
    last = sys.maxsize
    return sorted(findings, key=lambda one: (_ORDER[one.level], last if one.index is None else one.index))

"""What an engine's command line takes: its options by commit, and checks of an argv against them.

`Catalogue.load` gives the shipped catalogue of an engine and commit, `parse_help` makes one from `llama-server --help`
of any other build. `check_argv` says what is wrong with an argv, `canonical` makes two of them comparable.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gpubox.catalogue.options import Catalogue, Conflict, Option, Word, canonical, words

if TYPE_CHECKING:
    from gpubox.catalogue.check import Finding, check_argv
    from gpubox.catalogue.help_text import parse_help

__all__ = [
    "Catalogue",
    "Conflict",
    "Finding",
    "Option",
    "Word",
    "canonical",
    "check_argv",
    "parse_help",
    "words",
]

# Imported when first asked for: a plan needs none of them, and their patterns take longer to compile than its checks.
_LATER = {"Finding": "check", "check_argv": "check", "parse_help": "help_text"}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)

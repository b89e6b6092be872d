"""What an engine's command line takes: its options by commit, and checks of an argv against them.

`Catalogue.load` gives the shipped catalogue of an engine and commit, `parse_help` makes one from `llama-server --help`
of any other build. `check_argv` says what is wrong with an argv, `canonical` makes two of them comparable.
"""

from gpubox.catalogue.check import Finding, check_argv
from gpubox.catalogue.help_text import parse_help
from gpubox.catalogue.options import Catalogue, Conflict, Option, Word, canonical, words

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

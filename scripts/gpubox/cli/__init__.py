"""The `gpubox` command: one module a verb, imported only when it is called.

A verb's module has `HELP` (one line), `EXAMPLE` (command lines), `add_arguments(parser)` and `run(args) -> int`.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False  # typing's own costs `gpubox --version` a third of its time to import
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import ModuleType

EXIT_USAGE = 2
EXIT_BUG = 3
EXIT_INTERRUPTED = 130
BUG = "gpubox: this is a bug in gpubox; please report it with the lines above"

# In the order of the road: validate, deploy, measure, read.
VERBS = (
    "check",
    "plan",
    "render",
    "image",
    "prewarm",
    "switch",
    "status",
    "endpoint",
    "bench",
    "bench bisect",
    "results",
    "baseline",
    "compare",
    "verdict",
    "report",
    "export",
    "share",
    "import",
    "demo",
)
# New objects between two searches for garbage; Python's own 700 take a seventh of the time of an import.
GARBAGE = 50_000
# A module can't have a keyword's name, nor a space in it.
MODULES = {"import": "import_bundle", "bench bisect": "bench_bisect"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `gpubox` and return its exit status.

    0 done, 1 the user's fault or a failed check, 2 usage, 3 a bug of ours, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-V"]):
        from gpubox import __version__

        print(f"gpubox {__version__}")
        return 0
    # pydantic would look for plug-ins of its own in every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(GARBAGE)
    try:
        from gpubox.interruption import listen

        listen()
        return _guarded(words)
    except KeyboardInterrupt:
        print("gpubox: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _guarded(words: list[str]) -> int:
    """Run the verb; turn every exception but an interrupt into words and an exit status."""
    from gpubox.errors import GpuboxError

    try:
        return _run(words)
    except GpuboxError as error:
        sys.stdout.flush()
        print(f"gpubox: {error}" if "\n" not in str(error) else f"gpubox:\n{error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:  # noqa: BLE001  # the last line of defence: say that it is our bug
        import traceback

        traceback.print_exc()
        print(BUG, file=sys.stderr)
        return EXIT_BUG


def _run(words: list[str]) -> int:
    import argparse

    if " ".join(words[:2]) in VERBS:  # a verb of two words
        words = [" ".join(words[:2]), *words[2:]]
    asked = next((word for word in words if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="gpubox",
        description="Declare GPU boxes and model profiles as data, and benchmark what is deployed.",
        epilog="`gpubox VERB --help` shows a verb's options and an example.",
    )
    parser.add_argument("-V", "--version", action="store_true", help="print the version")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    modules: dict[str, ModuleType] = {}
    for verb in VERBS:
        if asked in VERBS and verb != asked:  # only the verb that is called is imported
            verbs.add_parser(verb)
            continue
        modules[verb] = _module(verb)
        added = verbs.add_parser(
            verb,
            help=modules[verb].HELP,
            description=modules[verb].__doc__,
            epilog=f"example:\n{_indented(modules[verb].EXAMPLE)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        modules[verb].add_arguments(added)
    if not words:
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    args: argparse.Namespace = parser.parse_args(words)
    status: int = modules[args.verb].run(args)
    sys.stdout.flush()
    return status


def _module(verb: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"gpubox.cli.{MODULES.get(verb, verb)}")


def _indented(example: str) -> str:
    return "\n".join(f"  {line}" for line in example.strip().splitlines())

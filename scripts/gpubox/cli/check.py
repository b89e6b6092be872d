"""Validate profiles: their fields, the rules between them, and every flag against the engine's catalogue."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "validate profiles and say all that is wrong with them"
EXAMPLE = """
gpubox check
gpubox check my-profile ./draft.yml --json
gpubox check --json-schema > profile.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help="a name or a file; all profiles by default")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--json-schema", action="store_true", help="print the JSON schema of a profile")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")


def run(args: argparse.Namespace) -> int:
    """Check the profiles; 1 when one of them has an error."""
    from gpubox.profile_check import check_profiles

    if args.json_schema:
        from gpubox.profile import json_schema

        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
        return 0
    checked = check_profiles(args.profiles)
    failed = [one for one in checked if one.errors or (args.strict and one.warnings)]
    if args.json:
        print(json.dumps({"profiles": [one.as_json() for one in checked], "ok": not failed}, ensure_ascii=False))
        return 1 if failed else 0
    for message in dict.fromkeys(message for one in checked for message in (*one.errors, *one.warnings)):
        print(message, file=sys.stderr)
    good = len(checked) - len(failed)
    print(
        f"{good} of {len(checked)} profiles are valid" if len(checked) != 1 or failed else f"{checked[0].name}: valid"
    )
    return 1 if failed else 0

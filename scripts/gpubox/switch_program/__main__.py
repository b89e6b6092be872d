"""The command line on a box, as root: `switch.pyz VERB …` for people, playbooks and gpubox, `switch.pyz run …` in its unit."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status: 0 done, 1 not, 75 when the box is going down."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["run"]:
        from gpubox.switch_program.unit import run_switch

        return run_switch(words[1:])
    from gpubox.switch_program.verbs import obey

    return obey(words)


if __name__ == "__main__":
    sys.exit(main())

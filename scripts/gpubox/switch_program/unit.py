"""What runs in the transient unit of a switch."""

from __future__ import annotations

import time

from gpubox.switch_program.questions import begin_questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

GOING_DOWN = 75  # as sysexits.h: try again


def run_switch(words: Sequence[str]) -> int:
    """Do a switch; returns the exit status: 0 done, 1 not, 75 when the box is going down.

    Args:
        words: the profile, then options with their values after `=`. `gpubox switch` or the verb `switch` has checked
            them; argparse would take longer to import than this to run.
    """
    profile, *rest = words
    asked = time.time()
    begin_questions(profile)

    from gpubox.switch_program.box import run
    from gpubox.switch_program.paths import Paths
    from gpubox.switch_program.state import Switch
    from gpubox.switch_program.transaction import Options, ShutDownError

    given = dict(word.removeprefix("--").partition("=")[::2] for word in rest)
    switch = Switch(given["id"], profile, by=given.get("by", ""), rollback="no-rollback" not in given)
    usual = Options()
    options = Options(
        timeout_s=float(given["timeout"]) if "timeout" in given else None,
        watch_s=float(given.get("watch", usual.watch_s)),
        prewarm=given.get("prewarm", usual.prewarm),
        prewarm_rate=float(given["prewarm-rate"]) * 1e6 if "prewarm-rate" in given else usual.prewarm_rate,
        ignore_plan="ignore-plan" in given,
    )
    try:
        return 0 if run(Paths(), switch, options, asked) else 1
    except ShutDownError:
        return GOING_DOWN

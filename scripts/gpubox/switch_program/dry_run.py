"""What a switch would do, after the checks that it would make; touches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.switch_program import memory
from gpubox.switch_program.preflight import RefusedError, preflight
from gpubox.switch_program.state import REFUSED
from gpubox.switch_program.transaction import conflicting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpubox.switch_program.profiles import BoxProfile
    from gpubox.switch_program.state import State


def dry_run(profiles: Mapping[str, BoxProfile], to: str, state: State, ignore_plan: bool) -> dict[str, object]:  # noqa: FBT001  # an option, passed on
    """Return the end of a dry run, with the plan a step a line."""
    profile = profiles[to]
    stops = conflicting(profile, profiles, state.active)
    try:
        ready = preflight(profile, stops, state.sizes, ignore_plan=ignore_plan)
    except RefusedError as error:
        return {"event": "end", "outcome": REFUSED, "text": str(error)}
    cold = memory.prewarm_fault(ready.size)
    steps = [
        f"read {memory.in_words(ready.size)} into memory" if not cold else f"no prewarm: {cold}",
        *(f"stop {one.unit}" for one in stops),
        *(f"wait until GPU {card.index} ({card.uuid}) is free" for card in ready.cards),
        f"start {profile.unit}, image {ready.image}",
        f"wait for a completion from {profile.url}, at most {profile.load_limit_s(ready.size):.0f} s",
        f"if that fails, start {', '.join(one.unit for one in stops) or 'nothing'} again",
    ]
    return {"event": "end", "outcome": "planned", "text": "\n".join(steps)}

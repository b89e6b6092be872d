"""Does a profile with GPUs compute on them: a server whose CUDA does not start goes on with the CPU, and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError, ServerExitedError
from gpubox.switch_program import gpus, units

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpubox.switch_program.profiles import BoxProfile

LINES = 20_000  # of a log; what CUDA says stands at its beginning, before a line for each tensor
_LAYERS = {"-ngl", "--gpu-layers", "--n-gpu-layers"}


def require_gpus(profile: BoxProfile, cards: Collection[gpus.Card] = ()) -> None:
    """Check that a profile that serves uses its GPUs, where it should.

    Its own lines tell; and where it is to have layers on GPUs, it must hold memory there.

    Args:
        profile: that has answered.
        cards: its GPUs as they were free; `used_mib` is what was in use. Without them its lines alone count.

    Raises:
        ServerExitedError: it does not; says why, with the lines that tell it.
    """
    if profile.gpus == "none":
        return
    from gpubox.switch_program.failure import told_cpu  # noqa: PLC0415  # not before it is needed

    state = units.show(profile.unit)
    told = told_cpu(profile.name, units.log_lines(state, LINES))
    if told is not None:
        raise told
    if cards and offloads(profile.argv) and _holds_nothing(cards, set(units.processes(state))):
        names = ", ".join(f"{card.index} ({card.uuid})" for card in cards)
        fault = f"it answers from the CPU: it holds no memory of GPU {names}"
        raise ServerExitedError(
            profile.name, fault, "its journal tells on which devices it put its buffers; see also nvidia-smi"
        )


def offloads(argv: Sequence[str]) -> bool:
    """Whether an argv wants layers on GPUs for certain; without the option some engines decide by themselves."""
    wanted = [argv[at + 1] for at, word in enumerate(argv[:-1]) if word in _LAYERS]
    return bool(wanted) and (wanted[-1] == "all" or (wanted[-1].isdigit() and int(wanted[-1]) > 0))


def _holds_nothing(cards: Collection[gpus.Card], processes: Collection[int]) -> bool:
    """Whether nvidia-smi says that neither these processes nor anybody unseen holds memory of the cards."""
    uuids = {card.uuid for card in cards}
    try:
        if any(one.uuid in uuids and one.pid in processes for one in gpus.holders()):
            return False
        # Some drivers show no processes, so that only the sum tells.
        used = {card.uuid: card.used_mib for card in gpus.cards()}
    except GpuboxError:  # it can't be told
        return False
    return all(used.get(card.uuid, 0) <= card.used_mib + gpus.SLACK_MIB for card in cards)

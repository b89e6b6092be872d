"""What must be true before anything is stopped; all faults at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.port_holder import require_free_port
from gpubox.switch_program import gpus, model_files, units
from gpubox.switch_program.questions import answer, dry_run_question, image_question
from gpubox.switch_program.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpubox.switch_program.profiles import BoxProfile

PODMAN_S = 30.0


@dataclass(frozen=True)
class Ready:
    """What the checks found out.

    Attributes:
        sizes: bytes of the model's files, by path.
        cards: the GPUs that must be free; `used_mib` is what may stay in use of each.
        holders: the processes that hold them now, all of them of profiles that stop.
        image: the image's ID, 12 digits.
        up: whether the profile's own service runs, although it does not serve.
    """

    sizes: dict[str, int]
    cards: list[gpus.Card]
    holders: list[gpus.Holder]
    image: str
    up: bool

    @property
    def size(self) -> int:
        """Of the whole model, bytes."""
        return sum(self.sizes.values())


class RefusedError(GpuboxError):
    """A switch that was not begun; carries every fault.

    Args:
        faults: at least one.
    """

    def __init__(self, faults: Sequence[GpuboxError]) -> None:
        super().__init__(faults[0].place, faults[0].fault, faults[0].remedy)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


def preflight(
    profile: BoxProfile, stops: Sequence[BoxProfile], sizes: Mapping[str, int], *, ignore_plan: bool = False
) -> Ready:
    """Check that a profile can be started once others have stopped.

    Args:
        profile: to be started.
        stops: those that serve now and will stop.
        sizes: of model files when they last served.
        ignore_plan: whether the planner's verdict does not count.

    Raises:
        RefusedError: with everything that is wrong.
    """
    found: dict[str, int] = {}
    cards: list[gpus.Card] = []
    holders: list[gpus.Holder] = []
    image: list[str] = []
    states: list[units.UnitState] = []

    checks: list[Callable[[], None]] = [
        lambda: None if ignore_plan else _verdict(profile),
        lambda: states.append(_unit(profile)),
        lambda: image.append(_image(profile)),
        lambda: found.update(
            {str(file): model_files.check(file, sizes) for file in model_files.all_parts(profile.models)}
        ),
        lambda: _port(profile, stops),
        lambda: _gpus(profile, {one.name for one in (*stops, profile)}, cards, holders),
    ]
    faults = [fault for fault in together(*(partial(_fault, check) for check in checks)) if fault]
    if faults:
        raise RefusedError(faults)
    return Ready(found, cards, holders, image[0], states[0].up)


def _fault(check: Callable[[], None]) -> GpuboxError | None:
    try:
        check()
    except GpuboxError as error:
        return error
    return None


def _verdict(profile: BoxProfile) -> None:
    if profile.verdict:
        raise GpuboxError(profile.name, f"does not fit this box: {profile.verdict}", "or switch with --ignore-plan")


def _unit(profile: BoxProfile) -> units.UnitState:
    if not Path(profile.file).exists():
        raise GpuboxError(profile.file, "is missing", "run playbooks/profiles.yml")
    question = dry_run_question(profile.file)
    if question:
        said = answer(question, PODMAN_S)
        if f"---{profile.unit}---" not in said.stdout:
            told = [line for line in said.stderr.splitlines() if Path(profile.file).name in line]
            fault = "Podman makes no service of it" + (
                f": {told[-1].partition('quadlet-generator')[2]}" if told else ""
            )
            raise GpuboxError(profile.file, fault, "run playbooks/profiles.yml")
    state = units.show(profile.unit)
    if state.load != "loaded" or state.stale == "yes":
        units.reload_units()
        state = units.show(profile.unit)
    if state.load != "loaded":
        raise GpuboxError(profile.unit, f"systemd has no such service ({state.load})", "run playbooks/profiles.yml")
    return state


def _image(profile: BoxProfile) -> str:
    said = answer(image_question(profile.image), PODMAN_S)
    if said.returncode:
        raise GpuboxError(profile.image, "the image is not on the box", "run playbooks/image.yml, or podman pull it")
    return said.stdout.strip().rpartition(":")[2][:12]


def _port(profile: BoxProfile, stops: Sequence[BoxProfile]) -> None:
    if any(one.port == profile.port for one in stops) or units.show(profile.unit).up:
        return
    require_free_port("127.0.0.1", profile.port)


def _gpus(profile: BoxProfile, stopping: set[str], cards: list[gpus.Card], holders: list[gpus.Holder]) -> None:
    if profile.gpus == "none":
        return
    present, held = gpus.cards_and_holders()
    wanted = gpus.chosen(profile.gpus, present)
    uuids = {card.uuid for card in wanted}
    holders += [one for one in held if one.uuid in uuids]
    strangers = [one for one in holders if one.unit not in stopping]
    if strangers:
        fault = "is held by what this switch does not stop: " + "; ".join(map(str, strangers))
        raise GpuboxError("VRAM", fault, "end that process, or give the profile other GPUs")
    leaving = {uuid: sum(one.mib for one in holders if one.uuid == uuid) for uuid in uuids}
    # What is in use beyond any process's memory is the driver's own, and stays.
    cards += [
        gpus.Card(card.index, card.uuid, max(card.used_mib - leaving[card.uuid], 0), card.total_mib) for card in wanted
    ]

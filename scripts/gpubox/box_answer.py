"""What a box says of itself, checked where it comes in: its program may be of another version."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # pydantic reads it
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from gpubox.errors import BoxError

DEPLOY_AGAIN = "run playbooks/profiles.yml for this box"


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Gpu(_Answer):
    used_mib: int
    total_mib: int
    power_w: float | None
    temperature_c: float | None
    driver: str


class _Switch(_Answer):
    to: str
    outcome: str
    began: datetime
    ended: datetime | Literal[""]


class _Status(_Answer):
    """As `gpubox.switch_program.box.status` returns it."""

    active: dict[str, datetime]
    serving: dict[str, bool]
    hashes: dict[str, str]
    drift: list[str]
    switch: _Switch | None
    gpus: list[_Gpu]
    disk_free: int

    @model_validator(mode="after")
    def _tells_of_each(self) -> Self:
        if self.serving.keys() != self.active.keys():
            raise ValueError("does not tell of each active profile whether it serves")
        return self


def check_status(box: str, answer: object) -> dict[str, Any]:
    """Return what a box's program answered to `status`, once it is what it should be.

    Args:
        box: its name.
        answer: as JSON gave it.

    Raises:
        BoxError: it is something else; names the first thing.
    """
    if not isinstance(answer, dict):
        raise BoxError(box, f"its program's answer is no status: {str(answer)[:60]!r}", DEPLOY_AGAIN)
    if "active" not in answer:
        raise BoxError(box, str(answer.get("text", "its program said nothing")), "run playbooks/profiles.yml")
    try:
        _Status.model_validate(answer)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "serving"
        fault = f"its program's answer is not that of this version ({place}: {first['msg']})"
        raise BoxError(box, fault, DEPLOY_AGAIN) from error
    return answer

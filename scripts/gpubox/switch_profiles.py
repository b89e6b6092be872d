"""What the program on a box needs to know of each profile, taken from where the units are made: one truth."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gpubox.profile_deployment import model_mount
from gpubox.render import render, unit_filename
from gpubox.switch_program.profiles import BoxProfile

if TYPE_CHECKING:
    from gpubox.arguments import Form
    from gpubox.box import Box
    from gpubox.deployment import Deployment
    from gpubox.profile_files import LoadedProfile


def box_profile(
    loaded: LoadedProfile, deployment: Deployment, box: Box, *, form: Form, folder: str, verdict: str
) -> BoxProfile:
    """Return a profile as the box's program takes it.

    Args:
        loaded: the profile.
        deployment: of it on the box, with its conflicts.
        box: the box.
        form: of its unit.
        folder: where units of that form are on the box.
        verdict: why the planner says that it does not fit; empty where it does not say so.
    """
    profile = loaded.profile
    files = model_files(loaded, box)
    return BoxProfile(
        name=loaded.name,
        hash=loaded.hash,
        file=f"{folder}/{unit_filename(deployment, form)}",
        file_sha256=hashlib.sha256(render(deployment, form).encode()).hexdigest(),
        port=profile.port,
        gpus=profile.gpus if isinstance(profile.gpus, str) else [box.gpu_uuid(gpu) for gpu in profile.gpus],
        conflicts=[service.removesuffix(".service") for service in deployment.conflicts],
        image=deployment.image,
        argv=list(deployment.argv),
        models=list(files),
        sha256={path: sha256 for path, sha256 in files.items() if sha256},
        start_timeout_s=profile.health.start_timeout,
        stop_timeout_s=profile.health.stop_timeout,
        api_key_file=profile.security.api_key_file or "",
        verdict=verdict,
    )


def model_files(loaded: LoadedProfile, box: Box) -> dict[str, str | None]:
    """Return the paths on a box of all files of a profile's model, each with the SHA-256 that the profile wants."""
    model = loaded.profile.model
    if model.path is not None:
        return {model.path: model.sha256}
    mount, _ = model_mount(model, box)
    folder = f"{mount.source}/snapshots/{model.revision}"
    return {f"{folder}/{file.name}": file.sha256 for file in model.files or ()}

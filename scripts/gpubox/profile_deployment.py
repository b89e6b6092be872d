"""Deploy a profile on a box: which image, mounts, GPUs and ports its container gets."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gpubox.argv import server_argv
from gpubox.deployment import Deployment, Health, Mount, Port, Restart, Secret

if TYPE_CHECKING:
    from gpubox.box import Box
    from gpubox.profile import Model, Profile
    from gpubox.profile_files import LoadedProfile

CONTAINER_PORT = 8000
MODELS_FOLDER = "/models"
API_KEY_TARGET = "/run/secrets/gpubox-api-keys"
IMAGE_PULL_S = 900  # the start of a unit may pull its image


def deploy(loaded: LoadedProfile, box: Box, *, start_at_boot: bool = False) -> Deployment:
    """Return what the unit of a profile on a box needs.

    Args:
        loaded: the profile.
        box: where it will run.
        start_at_boot: whether the unit starts with the box.
    """
    profile = loaded.profile
    mount, model = model_mount(profile.model, box)
    return Deployment(
        name=loaded.name,
        description=f"gpubox: {profile.description or loaded.name}",
        image=profile.engine.image or box.image,
        argv=server_argv(
            profile,
            name=loaded.name,
            model=model,
            host="0.0.0.0",  # noqa: S104  # inside the container; the published address decides who reaches it
            port=CONTAINER_PORT,
            api_key_file=API_KEY_TARGET,
        ),
        devices=cdi_devices(profile, box),
        mounts=(mount,),
        publish=(Port("0.0.0.0" if profile.security.listen == "lan" else "127.0.0.1", profile.port, CONTAINER_PORT),),  # noqa: S104  # asked for by `security.listen: lan`
        secrets=(Secret(f"{loaded.name}-api-keys", API_KEY_TARGET),) if profile.security.api_key_file else (),
        podman_args=("--ulimit=memlock=-1:-1",) if profile.server.mlock else (),
        start_at_boot=start_at_boot,
        start_timeout_s=IMAGE_PULL_S,
        stop_timeout_s=profile.health.stop_timeout,
        restart=Restart(window_s=4 * profile.health.start_timeout),
        health=Health(
            # no quotes inside: Podman 4.9 and 5.4 split a health command differently
            command=f"curl --silent --fail --max-time {profile.health.timeout} http://127.0.0.1:{CONTAINER_PORT}/health",
            interval_s=profile.health.interval,
            timeout_s=profile.health.timeout + 1,
            retries=profile.health.retries,
            start_period_s=profile.health.start_timeout,
        ),
    )


def model_mount(model: Model, box: Box) -> tuple[Mount, str]:
    """Return the mount that shows a model to the container, and the model's path there.

    Files of a Hugging Face snapshot are links into `blobs/` of the same repository, so the whole repository is mounted.
    """
    if model.path is not None:
        path = PurePosixPath(model.path)
        return Mount(str(path.parent), MODELS_FOLDER, relabel=box.selinux_relabel), f"{MODELS_FOLDER}/{path.name}"
    assert model.repo is not None
    assert model.files
    folder = f"{box.hf_hub}/models--{model.repo.replace('/', '--')}"
    return (
        Mount(folder, MODELS_FOLDER, relabel=box.selinux_relabel),
        f"{MODELS_FOLDER}/snapshots/{model.revision}/{model.files[0].name}",
    )


def cdi_devices(profile: Profile, box: Box) -> tuple[str, ...]:
    """Return the CDI names of a profile's GPUs: by UUID where the box tells them, since an index may change.

    Raises:
        GpuboxError: the box has no GPU of that index.
    """
    if profile.gpus == "none":
        return ()
    if profile.gpus == "all":
        return ("nvidia.com/gpu=all",)
    return tuple(f"nvidia.com/gpu={box.gpu_uuid(gpu)}" for gpu in profile.gpus)

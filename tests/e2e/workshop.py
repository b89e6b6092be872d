"""What it takes to build the server's image on a box without the internet's registries: a registry with base images.

The real ik_llama.cpp takes its time once a machine: five to ten minutes on two CPUs. The compiler's cache of that build is
kept in the lab's folder, and from then on the same build, Containerfile and all, takes a minute or two.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.lab import Saved
from lab.release import TRIXIE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.box import Box
    from lab.lab import Lab

_APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends"
_TAR = "tar --one-file-system --exclude='./proc/*' --exclude='./sys/*' --exclude='./run/*' --exclude='./dev/*' --exclude='./var/tmp/*' -C / -cf"
_REGISTRIES = """\
[[registry]]
location = "127.0.0.1:5000"
insecure = true
[[registry]]
location = "10.0.2.2"
insecure = true
"""
_SHARE_BASE = (
    "podman import --quiet /var/tmp/$base.tar localhost/$base:1 && rm /var/tmp/$base.tar && "
    "podman push --quiet --digestfile=/root/$base.digest localhost/$base:1 127.0.0.1:5000/$base:1 && "
    "podman rmi localhost/$base:1"
)
# A box with Podman and a registry. In the registry lie two base images made of the box's own Debian, with a compiler and
# without; a build's `apt-get install` then finds most of what it wants in place, which saves half a minute a build.
WORKSHOP = Saved(
    "image-workshop",
    TRIXIE,
    (
        "apt-get -qq update",
        f"{_TAR} /var/tmp/runtime.tar .",
        f"{_APT} build-essential ca-certificates ccache cmake git && apt-get clean && {_TAR} /var/tmp/build.tar .",
        f"{_APT.removesuffix(' --no-install-recommends')} podman && {_APT} docker-registry && apt-get clean",
        "sed -i '/^auth:/,$d' /etc/docker/registry/config.yml && systemctl restart docker-registry",
        f"echo '{_REGISTRIES}' > /etc/containers/registries.conf.d/workshop.conf",
        f"for base in build runtime; do {_SHARE_BASE} || exit 1; done",
    ),
)
# Less work for the compiler than a server that is as fast as it can be.
QUICK_BUILD = ["-DCMAKE_CXX_FLAGS_RELEASE=-O1", "-DGGML_IQK_FA_ALL_QUANTS=OFF"]
# Where Podman keeps the cache mounts of root's builds.
_CCACHE = "/var/tmp/buildah-cache-0"  # a path on the box


def bases(workshop: Box) -> dict[str, str]:
    """Return the variables `build_base` and `runtime_base` of the role ik_llama_image for a workshop's registry."""
    digests = {base: workshop.run(f"cat /root/{base}.digest").stdout.strip() for base in ("build", "runtime")}
    return {f"{base}_base": f"{base}:1@{digest}" for base, digest in digests.items()}


@contextmanager
def compiler_cache(lab: Lab, box: Box) -> Iterator[None]:
    """Give a box what this machine compiled before, and keep afterwards what the box compiled, also after a failure."""
    cache = lab.folder / "image-ccache.tar"
    if cache.exists():
        box.put(cache, "/root/ccache.tar")
        box.run(f"mkdir -p {_CCACHE} && tar -C {_CCACHE} -xf /root/ccache.tar")
    try:
        yield
    finally:
        box.run(f"mkdir -p {_CCACHE} && tar -C {_CCACHE} -cf /root/ccache.tar .")
        box.get("/root/ccache.tar", cache.with_suffix(".new"))
        cache.with_suffix(".new").replace(cache)

from lab.lab import Saved
from lab.release import TRIXIE

_APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes"
_BUILD_PACKAGES = "build-essential ca-certificates ccache cmake curl git libgomp1"
# A box with Podman and a registry, in which a base image lies that was made of a Debian 13 with a compiler. A build's own
# `apt-get install` finds everything there, which saves half a minute per build.
WORKSHOP = Saved(
    "image-workshop",
    TRIXIE,
    (
        "apt-get -qq update",
        f"{_APT} --no-install-recommends {_BUILD_PACKAGES} && apt-get clean",
        "tar --one-file-system --exclude=./{dev,proc,run,sys,tmp,var/tmp}/\\* -C / -cf /var/tmp/base.tar .",
        f"{_APT} podman docker-registry && apt-get clean",
        "sed -i '/^auth:/,$d' /etc/docker/registry/config.yml && systemctl restart docker-registry",
        "printf '[[registry]]\\nlocation = \"127.0.0.1:5000\"\\ninsecure = true\\n' > /etc/containers/registries.conf.d/workshop.conf",
        "podman import --quiet /var/tmp/base.tar localhost/base:1 && rm /var/tmp/base.tar",
        "podman push --quiet --digestfile=/root/base.digest localhost/base:1 127.0.0.1:5000/base:1",
        "podman rmi localhost/base:1",
    ),
)

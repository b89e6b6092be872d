"""The recipe of an engine's container image: the files that build it, and the key that names what they build.

The key is a hash of the Containerfile and the build script, so nothing that goes into the image can be left out of it.
Where the parts are fetched from (registry, git URL) is no part of it: a digest and a commit are the same everywhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.template_files import render_template

if TYPE_CHECKING:
    from gpubox.image_inputs import ImageInputs

KEY_LABEL = "gpubox.build-key"
CONTAINERFILE = "Containerfile"
BUILD_SCRIPT = "ik-llama-build.sh"

_KEY_DIGITS = 12
_BUILD_PACKAGES = ("build-essential", "ca-certificates", "ccache", "cmake", "git")
_RUNTIME_PACKAGES = ("ca-certificates", "curl", "libgomp1")  # curl asks the server for its health


@dataclass(frozen=True)
class ImageRecipe:
    """How an image is built.

    Attributes:
        key: of everything that goes into it, 12 hex digits.
        tag: `COMMIT-KEY`, with the first 7 digits of the commit.
        labels: of the image, the key's own left out.
        files: text by name: the Containerfile and the build script, side by side.
    """

    key: str
    tag: str
    labels: dict[str, str]
    files: dict[str, str]


def image_recipe(inputs: ImageInputs) -> ImageRecipe:
    """Return the recipe of an image; the same inputs give the same recipe, bytes and all."""
    build = inputs.build
    labels = {
        "org.opencontainers.image.title": "ik_llama.cpp server",
        "org.opencontainers.image.revision": build.commit,
        "org.opencontainers.image.base.name": inputs.runtime_base.named,
        "org.opencontainers.image.base.digest": inputs.runtime_base.digest,
        "gpubox.variant": build.variant,
        "gpubox.build-base": inputs.build_base.pinned,
        "gpubox.cuda-architectures": ";".join(build.architectures),
        "gpubox.cmake-flags": " ".join(build.cmake_flags),
        "gpubox.native-cpu": inputs.cpu,
    }
    labels = {name: text for name, text in labels.items() if text}
    image = {
        "build_base": inputs.build_base,
        "runtime_base": inputs.runtime_base,
        "build_packages": _BUILD_PACKAGES,
        "runtime_packages": _RUNTIME_PACKAGES,
        "labels": labels,
    }
    files = {
        CONTAINERFILE: render_template("Containerfile.j2", image=image),
        BUILD_SCRIPT: build.script,
    }
    key = hashlib.sha256("\0".join(files.values()).encode()).hexdigest()[:_KEY_DIGITS]
    return ImageRecipe(key, f"{build.commit[:7]}-{key}", labels, files)

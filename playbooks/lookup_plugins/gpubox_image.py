"""Ansible lookup: what gpubox knows of container images, asked by the role ik_llama_image."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from gpubox.errors import GpuboxError
from gpubox.image_fault import image_fault, is_not_in_registry
from gpubox.image_inputs import read_inputs
from gpubox.image_recipe import image_recipe
from gpubox.image_store import Wanted, look

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCUMENTATION = """
name: gpubox_image
short_description: recipes, stores and failures of container images
description:
  - C(faults) returns what is wrong with a role's variables, as text; empty when they are right.
  - C(recipe) returns the build key, tag, labels and files of an image.
  - C(store) returns what a box's image store holds of it.
  - C(failure) returns why a command failed, as text.
  - C(unknown) returns whether a failed pull only says that the registry doesn't hold the image.
options:
  _terms:
    description: One of the words above, and a dictionary of what it takes.
    required: true
"""

RETURN = """
_raw:
  description: The one answer.
  type: list
"""


def _faults(host: str, asked: Mapping[str, Any]) -> str:
    try:
        read_inputs(host, asked["inputs"], asked["gpus"])
    except GpuboxError as error:
        return str(error)
    return ""


def _recipe(host: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    return asdict(image_recipe(read_inputs(host, asked["inputs"], asked["gpus"])))


def _store(_host: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    wanted = Wanted(*(str(asked[name]) for name in ("key", "tag", "name", "registry")))
    view = look(str(asked["images"]), wanted, int(asked["keep"]))
    return asdict(view) | {"finished": wanted.finished, "shared": wanted.shared}


def _failure(host: str, asked: Mapping[str, Any]) -> str:
    return str(image_fault(host, str(asked["doing"]), str(asked["output"]), str(asked.get("log", ""))))


def _unknown(_host: str, asked: Mapping[str, Any]) -> bool:
    return is_not_in_registry(str(asked["output"]))


_ANSWERS = {"faults": _faults, "recipe": _recipe, "store": _store, "failure": _failure, "unknown": _unknown}


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:  # noqa: ANN401  # as the base class
        """Return the answer; what the role's preflight should have found becomes Ansible's error."""
        self.set_options(var_options=variables, direct=kwargs)
        question, asked = terms
        try:
            return [_ANSWERS[str(question)](str((variables or {}).get("inventory_hostname", "")), asked)]
        except GpuboxError as error:
            raise AnsibleError(f"gpubox: {error}") from error

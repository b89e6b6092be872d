"""Ansible lookup: the units of a host's profiles, validated and quoted by gpubox.

A lookup and not a filter: Ansible hands lists to filters lazily, and pydantic refuses what is not a list.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from gpubox.arguments import FORMS
from gpubox.box import box_of
from gpubox.box_fit import misfit
from gpubox.box_profiles import deploy_all
from gpubox.errors import GpuboxError
from gpubox.profile_files import load_profile
from gpubox.render import render, template_path, unit_filename, unit_of
from gpubox.switch_profiles import box_profile
from gpubox.template_files import render_template

if TYPE_CHECKING:
    from gpubox.arguments import Form
    from gpubox.profile_files import LoadedProfile

DOCUMENTATION = """
name: gpubox_units
short_description: units of gpubox profiles for the current host
description:
  - Reads, merges and validates the profiles, and returns what the templates of gpubox take.
options:
  _terms:
    description: Names of the host's profiles.
    required: true
  active:
    description: Names of those that are to serve.
    type: list
    default: []
  folder:
    description: Where the units are on the host.
    type: str
    default: /etc/containers/systemd
  services_folder:
    description: Where systemd looks for what is said of services beside their units.
    type: str
    default: /etc/systemd/system
  image:
    description: The image that the box has, for a box whose inventory sets no gpubox_image.
    type: str
    default: ""
  gpu_uuids:
    description: UUIDs of the box's GPUs by index, for a box whose inventory sets no gpubox_gpu_uuids.
    type: list
    elements: str
    default: []
  form:
    description: quadlet (Podman 4.4 or newer) or systemd.
    type: str
    default: quadlet
"""

RETURN = """
_raw:
  description: >-
    One dictionary a profile: name, file, dest (its path), content (its text), template, unit (the template's variable), service,
    stop (dest, content and folder of the file that says how it stops; empty where the unit does), port, hash, active,
    api_key_file, secret, switch (what the program that switches profiles needs to know).
  type: list
"""


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # as the base class
        """Return the units; every fault of every profile becomes Ansible's error."""
        self.set_options(var_options=variables, direct=kwargs)
        form = next(known for known in FORMS if known == str(self.get_option("form")))
        active = [str(name) for name in self.get_option("active")]
        known = dict(variables or {})
        try:
            loaded = [load_profile(str(name)) for name in terms]
            found = {f"gpubox_{name}": self.get_option(name) for name in ("image", "gpu_uuids")}
            known = {name: value for name, value in found.items() if value} | known
            box = box_of(str(known.get("inventory_hostname", "box")), known)
            deployments = deploy_all(loaded, box, active)
            folder = str(self.get_option("folder"))
            return [
                {
                    "name": one.name,
                    "file": unit_filename(deployment, form),
                    "dest": f"{folder}/{unit_filename(deployment, form)}",
                    "content": render(deployment, form),
                    "template": str(template_path(form)),
                    "unit": unit_of(deployment, form),
                    "service": f"{one.name}.service",
                    "stop": self._stop(one, form),
                    "port": one.profile.port,
                    "hash": one.hash,
                    "active": one.name in active,
                    "start_timeout": one.profile.health.start_timeout,
                    "api_key_file": one.profile.security.api_key_file or "",
                    "secret": deployment.secrets[0].name if deployment.secrets else "",
                    "switch": asdict(
                        box_profile(one, deployment, box, form=form, folder=folder, verdict=misfit(one, box))
                    ),
                }
                for one, deployment in zip(loaded, deployments, strict=True)
            ]
        except GpuboxError as error:
            raise AnsibleError(f"gpubox: {error}") from error

    def _stop(self, loaded: LoadedProfile, form: Form) -> dict[str, Any]:
        if form != "quadlet":
            return {}
        text = render_template("quadlet-stop.conf.j2", stop={"timeout_s": loaded.profile.health.stop_timeout})
        folder = f"{self.get_option('services_folder')}/{loaded.name}.service.d"
        return {"dest": f"{folder}/gpubox.conf", "content": text, "folder": {"dest": folder}}

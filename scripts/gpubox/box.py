"""One box of the inventory, as far as rendering a unit for it needs to know it.

Ansible's own inventory is the only truth about boxes; it is read through Ansible's API.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from gpubox.ansible_inventory import read_hosts
from gpubox.errors import GpuboxError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VARIABLE_PREFIX = "gpubox_"


@dataclass(frozen=True)
class Box:
    """What a unit on a box needs to know of it; every attribute is an inventory variable `gpubox_NAME`.

    Attributes:
        name: as in the inventory.
        hf_hub: the Hugging Face cache on the box (`HF_HUB_CACHE`).
        image: container image of the engine, unless a profile names its own; where the inventory sets none, playbooks
            take the one that the role ik_llama_image recorded on the box, by digest.
        gpu_uuids: UUIDs of the GPUs by index, so that units name a GPU whatever its index is after a reboot; where the
            inventory sets none, playbooks take what the role cuda_host found.
        selinux_relabel: whether mounts get the shared SELinux label (needed on Fedora's family).
        gpu_memory: free memory of each GPU, e.g. `97887MiB, 97887MiB`; empty where it is not known.
        ram: memory of the host, e.g. `768GB`; empty where it is not known.
        cores: physical CPU cores; 0 where not known.
    """

    name: str = "box"
    hf_hub: str = "/var/lib/gpubox/hf/hub"
    image: str = "registry.home.arpa/ik_llama:latest"
    selinux_relabel: bool = True
    gpu_memory: str = ""
    ram: str = ""
    cores: int = 0
    gpu_uuids: list[str] = field(default_factory=list)

    def gpu_uuid(self, gpu: int | str) -> int | str:
        """Return the UUID of a GPU that is named by index or UUID; the index where the box's UUIDs are not known.

        Raises:
            GpuboxError: the box has no such GPU.
        """
        if not self.gpu_uuids or gpu in self.gpu_uuids:
            return gpu
        if isinstance(gpu, str) or gpu >= len(self.gpu_uuids):
            has = ", ".join(f"{index} ({uuid})" for index, uuid in enumerate(self.gpu_uuids))
            raise GpuboxError(self.name, f"it has no GPU {gpu}", f"its GPUs are {has}")
        return self.gpu_uuids[gpu]


def load_box(name: str, inventory: Path) -> Box:
    """Return a box of the Ansible inventory in folder `inventory`.

    Raises:
        GpuboxError: no such host (names the nearest), or one of its variables is of the wrong type.
    """
    ((found, variables),) = host_variables([name], inventory).items()
    return box_of(found, variables)


def host_variables(names: Sequence[str], inventory: Path) -> dict[str, dict[str, Any]]:
    """Return the variables of some hosts of the Ansible inventory in folder `inventory`, in the order asked for.

    Args:
        names: of hosts or groups; a host that is in several comes once.
        inventory: the folder.

    Raises:
        GpuboxError: no such host or group (names the nearest), or a group without hosts.
    """
    read = read_hosts(inventory)
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        if name not in read.variables and name not in read.groups:
            known = sorted(read.variables)
            remedy = nearest(name, known) or (f"known are: {', '.join(known)}" if known else "add it to the inventory")
            raise GpuboxError(name, f"no such host in {inventory}", remedy)
        hosts = [name] if name in read.variables else read.groups[name]
        if not hosts:
            raise GpuboxError(name, f"the group has no host in {inventory}", "add one")
        found.update({host: read.variables[host] for host in hosts if host not in found})
    return found


def box_of(name: str, variables: Mapping[str, Any]) -> Box:
    """Return the box that a host's Ansible variables describe.

    Raises:
        GpuboxError: a variable is of the wrong type.
    """
    values: dict[str, Any] = {"name": name}
    for known in fields(Box):
        value = variables.get(VARIABLE_PREFIX + known.name)
        if value is None or known.name == "name":
            continue
        wanted = type(getattr(Box(), known.name))
        if not isinstance(value, wanted) or (wanted is list and not all(isinstance(item, str) for item in value)):
            kind = {bool: "true or false", int: "a whole number", list: "a list of texts"}.get(wanted, "text")
            raise GpuboxError(f"{name}: {VARIABLE_PREFIX}{known.name}", f"must be {kind} (got {value!r})")
        values[known.name] = [str(item) for item in value] if wanted is list else wanted(value)
    return Box(**values)

"""The memory of a box as the planner needs it: typed, from the inventory, or from the box's own facts.

What is typed on the command line comes first, then what the inventory says, then facts: what Ansible gathers, the fact
file of the role cuda_host in it (`ansible_local.gpubox`), or what `gpubox.host_facts` says.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpubox.errors import GpuboxError
from gpubox.placement import Machine
from gpubox.placement.sizes import MIB, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANSIBLE_LIMIT_S = 60.0
_LINKED = re.compile(r"\b(SXM\d?|HBM3|NVL|GH200|H200|B200|B300|GB200|GB300)\b")


@dataclass(frozen=True)
class BoxMemory:
    """What facts say.

    Attributes:
        gpus: memory of each GPU by index, bytes.
        uuids: their UUIDs, as far as they are known.
        ram: memory of the host, bytes.
        cores: physical CPU cores.
        names: the GPUs' names, as far as they are known.
    """

    gpus: tuple[int, ...] = ()
    uuids: tuple[str | None, ...] = ()
    ram: int | None = None
    cores: int | None = None
    names: tuple[str, ...] = ()


def machine_of(
    host: str | None,
    gpus: str | Sequence[int | str],
    *,
    sizes: Sequence[str] | None = None,
    ram: str | None = None,
    cores: int | None = None,
    facts: str | None = None,
) -> Machine:
    """Return the memory of the GPUs that a profile uses, and of their host.

    Args:
        host: a host of the inventory.
        gpus: the profile's `gpus`: `all`, `none`, or indices and UUIDs.
        sizes: free memory of each GPU, as typed.
        ram: free memory of the host, as typed.
        cores: physical cores, as typed.
        facts: a file of facts.

    Raises:
        GpuboxError: what the GPUs have is not known, a size is none, or the profile uses a GPU that is not there.
    """
    known = read_facts(facts) if facts else BoxMemory()
    typed = list(sizes or [])
    if host:
        from gpubox.box import load_box  # noqa: PLC0415  # Ansible takes half a second to import
        from gpubox.profiles_folder import profiles_folder  # noqa: PLC0415  # likewise pydantic

        box = load_box(host, profiles_folder().parent)
        typed = typed or [size for size in box.gpu_memory.split(",") if size.strip()]
        ram, cores = ram or box.ram, cores or box.cores or None
        if not facts and ((not typed and gpus != "none") or not ram):
            known = ask(host, profiles_folder().parent)
    free = [parse_size(size, "--gpu") for size in typed] or list(known.gpus)
    if not free and gpus != "none":
        remedy = "set gpubox_gpu_memory in the inventory" if host else "give --host BOX, or --gpu SIZE for each GPU"
        raise GpuboxError(host or "gpubox plan", "the GPUs' memory is not known", remedy)
    used = [free[number] for number in _numbers(gpus, len(free), () if typed else known.uuids)]
    memory = parse_size(ram, "--ram") if ram else known.ram
    linked = nvlinked(known.names) and not typed
    return Machine(tuple(used), memory, cores or known.cores, len(free), whole=not typed and bool(used), nvlink=linked)


def nvlinked(names: Sequence[str]) -> bool:
    """Return whether GPUs of these names are linked by NVLink: cards for servers are, as far as their names tell."""
    return bool(names) and all(_LINKED.search(name) for name in names)


def facts_memory(facts: Mapping[str, Any]) -> BoxMemory:
    """Return what facts say of memory, whichever of their forms they have.

    Args:
        facts: those that Ansible gathers (`ansible_memtotal_mb`, …), of the role cuda_host, or of `gpubox.host_facts`.
    """
    gathered = facts.get("ansible_facts", facts)
    plain = {key.removeprefix("ansible_"): value for key, value in gathered.items()}
    local = (plain.get("local") or {}).get("gpubox") or {}
    gpus = [gpu for gpu in local.get("gpus") or plain.get("gpus") or [] if gpu.get("memory_bytes")]
    gpus.sort(key=lambda gpu: gpu.get("index") or 0)
    ram = plain.get("ram_bytes") or (plain.get("memtotal_mb") or 0) * MIB or None
    cores = plain.get("cores") or (plain.get("processor_cores") or 0) * (plain.get("processor_count") or 1) or None
    return BoxMemory(
        tuple(int(gpu["memory_bytes"]) for gpu in gpus),
        tuple(gpu.get("uuid") for gpu in gpus),
        ram,
        cores,
        tuple(gpu.get("name") or "" for gpu in gpus),
    )


def read_facts(file: str) -> BoxMemory:
    """Return what a file of facts says.

    Raises:
        GpuboxError: it can't be read, or holds no facts.
    """
    try:
        facts = json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise GpuboxError(file, f"can't be read ({error.strerror})", "check the path") from None
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        raise GpuboxError(
            file, "holds no facts", "give the JSON of /etc/ansible/facts.d/gpubox.fact, or of Ansible's setup"
        )
    return facts_memory(facts)


def ask(host: str, inventory: Path) -> BoxMemory:
    """Return what a host says of itself, asked by Ansible, with its connection and rights.

    Raises:
        GpuboxError: it can't be asked.
    """
    beside = Path(sys.executable).with_name("ansible")
    program = shutil.which("ansible") or str(beside)
    command = [program, host, "--inventory", str(inventory), "--one-line", "--module-name", "ansible.builtin.setup"]
    remedy = "check that Ansible reaches it, or set gpubox_gpu_memory and gpubox_ram in the inventory"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSIBLE_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise GpuboxError(host, f"Ansible gave no answer within {ANSIBLE_LIMIT_S:g} s", remedy) from None
    except OSError as error:
        raise GpuboxError(host, f"Ansible can't be run ({error.strerror})", remedy) from None
    _, found, answer = done.stdout.partition(" | SUCCESS => ")
    if not found:
        said = (done.stdout.strip() or done.stderr.strip() or "no answer").splitlines()[-1]
        raise GpuboxError(host, f"can't be asked for its memory: {said}", remedy)
    return facts_memory(json.loads(answer))


def _numbers(gpus: str | Sequence[int | str], count: int, uuids: Sequence[str | None]) -> list[int]:
    """Return the numbers of the GPUs that a profile uses.

    Where only as many sizes are known as the profile uses GPUs, they are those. A UUID that is not known stands for the
    GPU at its place in the profile.
    """
    if gpus == "none":
        return []
    if isinstance(gpus, str) or len(gpus) == count:
        return list(range(count))
    numbers = []
    for place, gpu in enumerate(gpus):
        number = gpu if isinstance(gpu, int) else uuids.index(gpu) if gpu in uuids else place
        if number >= count:
            fault = f"the profile uses GPU {gpu}, and {count} {'is' if count == 1 else 'are'} given"
            raise GpuboxError("gpus", fault, "give more --gpu SIZE")
        numbers.append(number)
    return numbers

"""The hosts of an Ansible inventory: read through Ansible's API, and remembered until anything changes that they come from.

To import Ansible and read an inventory takes longer than most of what is then done with it. So what was read is kept in
`$XDG_CACHE_HOME/gpubox/inventories`, under a digest of every file and setting that Ansible read it from. An inventory that
is not made of files alone (plugins, scripts), or holds what has no place in a cache (vaulted values), is read each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gpubox

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLES_FOLDERS = ("group_vars", "host_vars")
# Signs of a source that is a plugin's to answer, of plugins for variables, and of secrets that must not be kept in the clear.
_UNCERTAIN = (b"plugin:", b"vars_plugins", b"$ANSIBLE_VAULT")
_VARS_PLUGINS = ("~/.ansible/plugins/vars", "/usr/share/ansible/plugins/vars")
_CONFIGS = ("ansible.cfg", "~/.ansible.cfg", "/etc/ansible/ansible.cfg")


@dataclass(frozen=True)
class Hosts:
    """What an inventory says.

    Attributes:
        variables: of each host, by its name.
        groups: names of each group's hosts, those of its children included.
    """

    variables: dict[str, dict[str, Any]]
    groups: dict[str, list[str]]


def read_hosts(inventory: Path) -> Hosts:
    """Return the hosts of the inventory in a folder."""
    sources = inventory_files(inventory)
    try:
        key = _digest(inventory, sources)
    except OSError:  # Ansible says it better
        key = None
    if key is None:
        return _read(sources)[0]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpubox" / "inventories"
    file = cache / f"{hashlib.sha256(str(inventory.absolute()).encode()).hexdigest()[:16]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(file.read_text("utf-8"))
        if kept["key"] == key:
            return Hosts(**kept["hosts"])
    hosts, whole = _read(sources)
    if whole:
        _keep(file, {"inventory": str(inventory.absolute()), "key": key, "hosts": asdict(hosts)})
    return hosts


def inventory_files(inventory: Path) -> list[Path]:
    """Return the inventory's files; the profiles beside them are not hosts."""
    return sorted(path for path in inventory.glob("*") if path.suffix in {".yml", ".yaml", ".ini"} and path.is_file())


def _read(sources: list[Path]) -> tuple[Hosts, bool]:
    """Return what Ansible reads, and whether it could read all of it."""
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415  # a third of a second
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.vars.manager import VariableManager  # noqa: PLC0415

    loader = DataLoader()
    manager = InventoryManager(loader=loader, sources=[str(path) for path in sources])
    values = VariableManager(loader=loader, inventory=manager)
    variables = {str(host.name): values.get_vars(host=host) for host in manager.hosts.values()}
    for one in variables.values():
        one.pop("groups", None)  # all of them again for each host
    groups = {str(name): [str(host.name) for host in group.get_hosts()] for name, group in manager.groups.items()}
    # What Ansible could not read it has warned of, and shall warn of the next time too.
    whole = len(manager._inventory.processed_sources) == len(sources)  # noqa: SLF001  # it tells this nowhere else
    return Hosts(variables, groups), whole


def _keep(file: Path, kept: dict[str, Any]) -> None:
    """Write the cache, where it would say the very same when it is read; without one all works as well."""
    part = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError, TypeError, ValueError):
        text = json.dumps(kept)
        if json.loads(text) != kept:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        part.touch(mode=0o600)  # an inventory may hold passwords
        part.write_text(text, "utf-8")
        part.replace(file)
    with suppress(OSError):
        part.unlink(missing_ok=True)
    for other in file.parent.glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not Path(json.loads(other.read_text("utf-8"))["inventory"]).exists():
                other.unlink()


def _digest(inventory: Path, sources: list[Path]) -> str | None:
    """Return a digest of all that the hosts come from; None where that is not known."""
    ansible = find_spec("ansible")
    if ansible is None or ansible.origin is None:
        return None
    settings = sorted((name, value) for name, value in os.environ.items() if name.startswith("ANSIBLE_"))
    release = Path(ansible.origin).with_name("release.py").read_bytes()
    whence = (gpubox.__version__, sys.version, release, settings, str(Path.cwd()), str(inventory))
    read = [(str(path), path.read_bytes()) for path in (*sources, *_further_files(inventory))]
    if any(os.access(path, os.X_OK) for path in sources) or "ANSIBLE_VARS_ENABLED" in os.environ:
        return None
    if any(any(Path(folder).expanduser().glob("*.py")) for folder in _VARS_PLUGINS):
        return None
    if any(sign in text for _, text in read for sign in _UNCERTAIN):
        return None
    return hashlib.sha256(repr((whence, read)).encode()).hexdigest()


def _further_files(inventory: Path) -> Iterator[Path]:
    """Yield the files of variables and settings that Ansible reads beside an inventory's own."""
    for name in VARIABLES_FOLDERS:
        found = os.walk(inventory / name, followlinks=True)  # as Ansible does
        yield from sorted(path for folder, _, files in found for path in (Path(folder, file) for file in files))
    configs = [os.environ.get("ANSIBLE_CONFIG") or _CONFIGS[0], *_CONFIGS]
    yield from (path for path in (Path(name).expanduser() for name in configs) if path.is_file())

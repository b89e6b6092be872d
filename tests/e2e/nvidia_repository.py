"""NVIDIA's packages without NVIDIA: a signed apt repository whose programs answer like a box with two GPUs.

Real are the repository, its signature, the packages, the services and the CDI specification; made up are the answers
of nvidia-smi, and the devices, each of which is /dev/null. The answers are those of the tests of `gpubox.nvidia`.
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from host.rtx_pro_6000 import TWO_GPUS

if TYPE_CHECKING:
    from pathlib import Path

    from lab.box import Box

# This machine's loopback as a box sees it.
HOST = "10.0.2.2"
PROGRAM, FILE = 0o755, 0o644

MEMORY = "".join(f"{', '.join(line.split(', ')[:2])}, 4, 97887\n" for line in TWO_GPUS.splitlines())
NVIDIA_SMI = f"""\
#!/bin/sh
limits=/var/lib/nvidia-smi-power-limits
for argument in "$@"; do
    case $argument in
    --query-gpu=index,power.default_limit) printf '0, 600.00\\n1, 600.00\\n' ;;
    --query-gpu=index,uuid,memory.used,memory.total) cat <<'END'
{MEMORY}END
        ;;
    --query-gpu=*) cat <<'END'
{TWO_GPUS}END
        ;;
    --list-gpus) sed 's/^/GPU /' <<'END'
{TWO_GPUS}END
        ;;
    --id=*) gpu=${{argument#--id=}} ;;
    --power-limit=*)
        watts=${{argument#--power-limit=}}
        if [ "${{watts%.*}}" -gt 600 ]; then
            echo "Provided power limit $watts W is not a valid power limit which should be between 150.00 W and 600.00 W"
            exit 3
        fi
        for one in ${{gpu:-0 1}}; do echo "$one ${{watts%.*}}" >> $limits; done
        ;;
    esac
done
"""
PERSISTENCED_SERVICE = """\
[Unit]
Description=NVIDIA Persistence Daemon

[Service]
ExecStart=/usr/bin/sleep infinity

[Install]
WantedBy=multi-user.target
"""
NVIDIA_CTK = """\
#!/bin/sh
case "$1 $2" in
"--version ") echo "NVIDIA Container Toolkit CLI version @VERSION@" ;;
"cdi generate") mkdir -p /var/run/cdi && cp /usr/share/nvidia-container-toolkit/cdi.yaml /var/run/cdi/nvidia.yaml ;;
"cdi list") cat /var/run/cdi/*.yaml /etc/cdi/*.yaml 2>/dev/null | sed -n 's/^- name: "\\(.*\\)"$/nvidia.com\\/gpu=\\1/p' ;;
esac
"""
CDI_SERVICE = """\
[Unit]
Description=Refresh NVIDIA CDI specification file

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/nvidia-ctk cdi generate

[Install]
WantedBy=multi-user.target
"""
CDI_PATH = """\
[Unit]
Description=Trigger CDI refresh on NVIDIA driver install / uninstall events

[Path]
PathChanged=/usr/bin/nvidia-smi

[Install]
WantedBy=multi-user.target
"""


def cdi_specification() -> str:
    """Return a specification that names the two GPUs by index and UUID, and both as `all`."""
    gpus = [line.split(", ")[:2] for line in TWO_GPUS.splitlines()]
    nodes = {index: f"    - path: /dev/nvidia{index}\n" for index, _ in gpus}
    devices = [(name, nodes[index]) for index, uuid in gpus for name in (index, uuid)]
    devices.append(("all", "".join(nodes.values())))
    return (
        "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n"
        + "".join(f'- name: "{name}"\n  containerEdits:\n    deviceNodes:\n{node}' for name, node in devices)
        + "containerEdits:\n  mounts:\n  - hostPath: /usr/bin/nvidia-smi\n    containerPath: /usr/bin/nvidia-smi\n"
        "    options: [ro, nosuid, nodev, bind]\n"
    )


@dataclass(frozen=True)
class Package:
    """A binary package of Debian's format.

    Attributes:
        name: the package.
        version: of it.
        depends: names of packages that it needs.
        files: absolute path to content and mode.
        enables: units that its installation enables.
    """

    name: str
    version: str
    depends: tuple[str, ...] = ()
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    enables: tuple[str, ...] = ()

    @property
    def control(self) -> str:
        """The control file."""
        depends = f"Depends: {', '.join(self.depends)}\n" if self.depends else ""
        return (
            f"Package: {self.name}\nVersion: {self.version}\nArchitecture: amd64\n{depends}"
            "Maintainer: nobody <nobody@example.org>\nDescription: stands in for NVIDIA's\n"
        )

    def build(self, folder: Path, target: Path) -> Path:
        """Build it in one folder with dpkg-deb, into another; returns the file."""
        root = folder / f"{self.name}-{self.version}"
        scripts = {"/DEBIAN/control": (self.control, FILE)}
        if self.enables:
            enable = f"#!/bin/sh\nsystemctl daemon-reload\nsystemctl enable --now {' '.join(self.enables)}\n"
            scripts["/DEBIAN/postinst"] = (enable, PROGRAM)
        for name, (content, mode) in (self.files | scripts).items():
            path = root / name.removeprefix("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            path.chmod(mode)
        file = target / f"{self.name}_{self.version}_amd64.deb"
        subprocess.run(
            ["dpkg-deb", "-Znone", "--root-owner-group", "--build", str(root), str(file)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return file


def toolkit(version: str) -> Package:
    """Return the container toolkit, its CDI units included."""
    units = "/usr/lib/systemd/system"
    return Package(
        "nvidia-container-toolkit",
        f"{version}-1",
        files={
            "/usr/bin/nvidia-ctk": (NVIDIA_CTK.replace("@VERSION@", version), PROGRAM),
            "/usr/share/nvidia-container-toolkit/cdi.yaml": (cdi_specification(), FILE),
            f"{units}/nvidia-cdi-refresh.service": (CDI_SERVICE, FILE),
            f"{units}/nvidia-cdi-refresh.path": (CDI_PATH, FILE),
        },
    )


def driver(version: str) -> tuple[Package, ...]:
    """Return a driver's packages."""
    return (
        Package("nvidia-open", f"{version}-1", ("nvidia-persistenced", "nvidia-utils")),
        Package(
            "nvidia-persistenced",
            f"{version}-1",
            files={"/usr/lib/systemd/system/nvidia-persistenced.service": (PERSISTENCED_SERVICE, FILE)},
        ),
        Package("nvidia-utils", f"{version}-1", files={"/usr/bin/nvidia-smi": (NVIDIA_SMI, PROGRAM)}),
    )


# What each role takes, and of each a newer one that the pins must pass over.
PACKAGES = {
    "cuda_host": (*driver("580.95.05"), *driver("610.43.02")),
    "container_host": (toolkit("1.18.1"), toolkit("1.20.0")),
}


class NvidiaRepository:
    """A repository for each role, signed by a throw-away key and served on this machine's loopback until it is closed.

    Args:
        folder: where they are made.
    """

    def __init__(self, folder: Path) -> None:
        self._served = folder / "served"
        self._indexes: dict[str, str] = {}
        for role, packages in PACKAGES.items():
            (self._served / role).mkdir(parents=True)
            self._indexes[role] = "".join(self._entry(role, package, folder) for package in packages)
        self._home = folder / "gnupg"
        self._home.mkdir(mode=0o700)
        self._gpg("--passphrase", "", "--quick-generate-key", "Throw-away <nobody@example.org>", "ed25519", "sign")
        (self._served / "key.asc").write_bytes(self._gpg("--armor", "--export"))
        listing = self._gpg("--with-colons", "--list-keys").decode()
        self.fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))
        for role in PACKAGES:
            self.restore(role)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(self._served)))
        self._url = f"http://{HOST}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, role: str) -> str:
        """Return the URL of a role's repository as a box sees it."""
        return f"{self._url}/{role}/"

    def variables(self) -> dict[str, str]:
        """Return the inventory variables of a box that takes NVIDIA's repositories from here."""
        each = [
            {
                f"{role}_repository_url": self.url(role),
                f"{role}_repository_key_url": f"{self._url}/key.asc",
                f"{role}_repository_key_fingerprint": self.fingerprint,
            }
            for role in PACKAGES
        ]
        return {key: value for variables in each for key, value in variables.items()}

    def tamper(self, role: str) -> None:
        """Publish a new index under the old signature, as somebody between the repository and the box would."""
        signed = (self._served / role / "InRelease").read_text(encoding="utf-8")
        before = self._write_index(role, self._indexes[role])
        after = self._write_index(role, self._indexes[role].replace("580.95.05-1", "580.99.99-1"))
        (self._served / role / "InRelease").write_text(signed.replace(before, after), encoding="utf-8")

    def restore(self, role: str) -> None:
        """Publish the true index, signed."""
        self._write_index(role, self._indexes[role])
        release = self._served / role / "Release"
        self._gpg("--clearsign", "--output", str(release.with_name("InRelease")), str(release))

    def _write_index(self, role: str, index: str) -> str:
        digest = hashlib.sha256(index.encode()).hexdigest()
        release = (
            "Origin: example\nLabel: example\nDate: Tue, 04 Nov 2025 00:00:00 UTC\n"
            f"SHA256:\n {digest} {len(index.encode())} Packages\n"
        )
        (self._served / role / "Packages").write_text(index, encoding="utf-8")
        (self._served / role / "Release").write_text(release, encoding="utf-8")
        return release

    def _entry(self, role: str, package: Package, folder: Path) -> str:
        file = package.build(folder, self._served / role)
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return f"{package.control}Filename: ./{file.name}\nSize: {len(content)}\nSHA256: {digest}\n\n"

    def _gpg(self, *arguments: str) -> bytes:
        options = ("--homedir", str(self._home), "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback")
        return subprocess.run(["gpg", *options, *arguments], check=True, capture_output=True).stdout


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class calls it so
        """Say nothing: a test's output is the test's."""


# What sysfs shows of two cards, and a device of each that is /dev/null.
_CARDS = """\
[Unit]
DefaultDependencies=no
Before=basic.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=mount --bind /srv/pci /sys/bus/pci/devices
ExecStart=touch /dev/nvidia0 /dev/nvidia1
ExecStart=mount --bind /dev/null /dev/nvidia0
ExecStart=mount --bind /dev/null /dev/nvidia1

[Install]
WantedBy=sysinit.target
"""


def plug_in_cards(box: Box) -> None:
    """Give a box two cards, for this boot and later ones."""
    for address in ("0000:01:00.0", "0000:81:00.0"):
        device = f"/srv/pci/{address}"
        box.run(f"mkdir -p {device} && echo 0x10de > {device}/vendor && echo 0x030000 > {device}/class")
    box.run(f"echo '{_CARDS}' > /etc/systemd/system/cards.service && systemctl enable --now cards.service")

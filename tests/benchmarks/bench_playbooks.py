"""How long playbooks take that change nothing: site.yml on one box and on four, profiles.yml with ten profiles.

Run as root: the boxes are those of `tests/lab`, provisioned first, with an image that is compiled in a second and profiles
whose containers print their arguments. Prints the shortest of several rounds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from e2e.git_mirror import GitMirror, serve  # noqa: E402 - the folder above is on the path only now
from e2e.nvidia_repository import NvidiaRepository, plug_in_cards  # noqa: E402 - likewise
from e2e.operator import PRINTS_ITS_ARGV, Operator  # noqa: E402 - likewise
from e2e.workshop import WORKSHOP, bases  # noqa: E402 - likewise
from gpubox.tiny_model import make_tiny_model  # noqa: E402 - likewise
from hub.server import Hub, HubFile, Repository  # noqa: E402 - likewise
from lab.lab import PODMAN, Lab  # noqa: E402 - likewise
from lab.release import TRIXIE  # noqa: E402 - likewise

CONTROLLER = "10.0.2.2"
REVISION = "451d18c5" * 5
ROUNDS = 3
BOXES = 4
PROFILE = """
model: {{repo: example/tiny-GGUF, revision: {revision}, files: [{{name: tiny.gguf}}]}}
engine: {{name: llama_cpp, image: localhost/argv:e2e}}
gpus: [0]
port: {port}
"""


def shortest(operator: Operator, playbook: str, *options: str) -> float:
    """Return the shortest time of a playbook that changes nothing, seconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        changes = operator.changes(playbook, *options)
        times.append(time.perf_counter() - began)
        if changes:
            sys.exit(f"{playbook} changed {changes} things")
    return min(times)


def main() -> None:
    """Provision the boxes, measure, and print a line a figure."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lab = stack.enter_context(Lab())
        model = make_tiny_model(folder / "tiny.gguf")
        repository = Repository("example/tiny-GGUF", REVISION, {"tiny.gguf": HubFile(model)})
        hub = stack.enter_context(Hub(repository, seen_as=CONTROLLER))
        nvidia = stack.enter_context(NvidiaRepository(folder))
        mirror = GitMirror(folder / "mirrors" / "small")
        commit = mirror.commit_small("small")
        git_url = stack.enter_context(serve(folder / "mirrors"))
        workshop = lab.box(WORKSHOP)
        registry = f"{CONTROLLER}:{stack.enter_context(workshop.tunnel(5000))}"
        boxes = lab.boxes(BOXES, PODMAN)
        (folder / "argv").write_text(PRINTS_ITS_ARGV)
        for box in boxes:
            plug_in_cards(box)
            box.put(lab.image_tar(TRIXIE), "/root/base.tar")
            box.put(folder / "argv", "/root/argv")
            box.run(
                "podman import -q /root/base.tar localhost/base:e2e && cd /root && podman build -q -t argv:e2e -f argv ."
            )
        operator = Operator(folder, *boxes)
        image: dict[str, Any] = {"source": git_url + mirror.name, "commit": commit, "registry": f"{registry}/lab"}
        image |= {"variant": "cpu", "native": False, "base_registry": registry}
        operator.variables = {
            **nvidia.variables(),
            "cuda_host_kernel_headers": [],
            "host_tuning_apply_now": False,
            "container_host_registries": [{"location": registry, "insecure": True}],
            **{f"ik_llama_image_{name}": value for name, value in (image | bases(workshop)).items()},
            "gguf_models_endpoint": hub.endpoint,
            "gguf_models_progress_interval": 1,
        }
        names = [f"profile-{number}" for number in range(10)]
        for number, name in enumerate(names):
            operator.profile(name, PROFILE.format(revision=REVISION, port=8000 + number))
        operator.declare(names[:2], names[:1])
        operator.play("site.yml")
        one = shortest(operator, "site.yml", "--limit", operator.box.name)
        four = shortest(operator, "site.yml")
        operator.declare(names, names[:1])
        operator.play("profiles.yml", "--limit", operator.box.name)
        ten = shortest(operator, "profiles.yml", "--limit", operator.box.name)
    print(f"site.yml that changes nothing, one box, two profiles: {one:.1f} s (promised: 20)")
    print(f"the same on {BOXES} boxes: {four:.1f} s, {four / one:.2f} x (promised: 1.3)")
    print(f"profiles.yml that changes nothing, ten profiles: {ten:.1f} s (promised: 8)")


if __name__ == "__main__":
    main()

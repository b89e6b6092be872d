"""Facts about the role ik_llama_image and its playbook, on boxes: real git, CMake, Podman and registry."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2e.git_mirror import GitMirror, ik_llama_mirror, serve
from e2e.operator import messages
from e2e.relay import Relay
from e2e.workshop import QUICK_BUILD, WORKSHOP, bases, compiler_cache
from gpubox.catalogue import parse_help
from gpubox.tiny_model import make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.box import Box
    from lab.lab import Lab, Saved

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3000)]

_ROOT = Path(__file__).parents[2]
_UNIT = "/etc/containers/systemd/old.container"


@dataclass(frozen=True)
class Play:
    """What `ansible-playbook` did.

    Attributes:
        status: its exit status.
        output: what it printed.
    """

    status: int
    output: str

    def count(self, word: str) -> int:
        """Return a number of the recap, summed over the boxes."""
        return sum(map(int, re.findall(rf"^\S+ +: .*\b{word}=(\d+)", self.output, re.MULTILINE)))

    @property
    def message(self) -> str:
        """The last failure's message."""
        return [*messages(self.output).values(), self.output][0]


@dataclass(frozen=True)
class Site:
    """Boxes and the variables that image.yml runs with.

    Attributes:
        folder: for the inventory.
        boxes: the boxes; the first one's registry has the base images.
        variables: of the role, without its prefix.
    """

    folder: Path
    boxes: list[Box]
    variables: dict[str, Any]

    def play(self, *arguments: str, **variables: Any) -> Play:
        """Run image.yml, with further arguments and variables."""
        hosts: dict[str, Any] = {}
        for box in self.boxes:
            hosts |= box.ansible_inventory()["all"]["hosts"]
        values = {f"ik_llama_image_{name}": value for name, value in (self.variables | variables).items()}
        inventory = self.folder / "boxes.json"
        inventory.write_text(json.dumps({"gpu_boxes": {"hosts": hosts, "vars": values}}), encoding="utf-8")
        ansible_playbook = str(Path(sys.executable).with_name("ansible-playbook"))
        argv = [ansible_playbook, "-i", str(inventory), "playbooks/image.yml", *arguments]
        done = subprocess.run(argv, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return Play(done.returncode, done.stdout)

    def done(self, *arguments: str, **variables: Any) -> Play:
        """Run image.yml, which must succeed."""
        play = self.play(*arguments, **variables)
        assert play.status == 0, play.output
        return play


def _site(folder: Path, boxes: list[Box], **variables: Any) -> Site:
    common = {"variant": "cpu", "native": False, "base_registry": "127.0.0.1:5000", "jobs": 2}
    return Site(folder, boxes, common | bases(boxes[0]) | variables)


def _record(box: Box) -> dict[str, Any]:
    return dict(json.loads(box.run("cat /etc/gpubox/image.json").stdout))


def _finished(box: Box) -> list[str]:
    """Return the tags of the finished images of a box, sorted."""
    listed = box.run("podman images --format '{{.Repository}}:{{.Tag}}' --filter label=gpubox.build-key").stdout
    return sorted(name.rpartition(":")[2] for name in listed.split() if name.startswith("localhost/ik_llama:"))


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of repositories."""
    return tmp_path_factory.mktemp("mirrors")


@pytest.fixture(scope="module")
def git_url(mirrors: Path) -> Iterator[str]:
    """Where they are served."""
    with serve(mirrors) as url:
        yield url


@pytest.fixture(scope="module")
def compiled(lab: Lab, mirrors: Path, git_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A box that compiled the real ik_llama.cpp and pushed it to its registry; then a second one, with no image."""
    mirror, commit = ik_llama_mirror(mirrors / "ik_llama.cpp", lab.folder)
    builder, other = lab.boxes(2, WORKSHOP)
    with builder.tunnel(5000) as port:
        registry = f"10.0.2.2:{port}/lab"
        variables = {
            "source": git_url + mirror.name,
            "commit": commit,
            "registry": registry,
            "cmake_flags": QUICK_BUILD,
        }
        site = _site(tmp_path_factory.mktemp("site"), [builder, other], **variables)
        with compiler_cache(lab, builder):
            site.done("--limit", builder.name)
        yield site
    lab.remove(builder)
    lab.remove(other)


@pytest.fixture
def small(
    saved_box: Callable[[Saved], Box], mirrors: Path, git_url: str, tmp_path: Path
) -> Iterator[tuple[Site, GitMirror]]:
    """A box without a registry of its own images, and the mirror of a server that builds in a second."""
    mirror = GitMirror(mirrors / tmp_path.name)
    commit = mirror.commit_small("one")
    yield _site(tmp_path, [saved_box(WORKSHOP)], source=git_url + mirror.name, commit=commit), mirror
    shutil.rmtree(mirror.folder)


def test_ik_llama_is_compiled_pushed_and_recorded_by_the_digest_that_the_registry_has(compiled: Site) -> None:
    box, commit = compiled.boxes[0], compiled.variables["commit"]
    record = _record(box)
    repository, _, digest = record["reference"].partition("@")
    tag = f"{commit[:7]}-{record['build_key']}"
    head = f"curl -sSI -H 'Accept: application/vnd.oci.image.manifest.v1+json' http://{repository.replace('/', '/v2/', 1)}/manifests/{tag}"
    assert repository == f"{compiled.variables['registry']}/ik_llama"
    assert re.search(r"(?im)^docker-content-digest: (\S+)", box.run(head).stdout)[1] == digest  # type: ignore[index]  # no match is the test's failure
    (image,) = json.loads(box.run(["podman", "image", "inspect", record["reference"]]).stdout)
    labels = image["Labels"]
    assert image["Id"] == record["id"]
    assert image["Config"]["User"] == "llama"
    assert labels.pop("gpubox.build-key") == record["build_key"]
    assert record["labels"].items() <= labels.items()
    assert labels["org.opencontainers.image.revision"] == commit
    assert record | {"labels": {}} == {
        "reference": record["reference"],
        "id": image["Id"],
        "tag": tag,
        "build_key": record["build_key"],
        "labels": {},
        "help": f"/var/lib/gpubox/images/{tag}/help.txt",
        "version": f"/var/lib/gpubox/images/{tag}/version.txt",
    }


def test_the_options_of_the_compiled_server_are_kept_as_a_catalogue_reads_them(compiled: Site) -> None:
    box = compiled.boxes[0]
    record = _record(box)
    catalogue = parse_help(box.run(["cat", record["help"]]).stdout, "ik_llama", compiled.variables["commit"])
    flags = {name for option in catalogue.options for name in option.names}
    assert {"--model", "--ctx-size", "-mla", "-ger"} <= flags
    told = compiled.folder / "catalogues" / f"ik_llama-{compiled.variables['commit'][:7]}.txt"
    assert told.read_text("utf-8") == box.run(["cat", record["help"]]).stdout
    version = box.run(["cat", record["version"]]).stdout
    assert version.startswith(f"version: 1 ({compiled.variables['commit'][:7]}")


def test_the_compiled_server_serves_as_nobody_with_a_root_that_it_cannot_write(compiled: Site, tmp_path: Path) -> None:
    box = compiled.boxes[0]
    model = tmp_path / "tiny.gguf"
    make_tiny_model(model)
    box.put(model, "/srv/tiny.gguf")
    run = "podman run --detach --name=served --pull=never --read-only --cap-drop=all --volume=/srv:/srv:ro"
    serve = "--model /srv/tiny.gguf --ctx-size 512 --threads 2 --host 127.0.0.1 --port 8080"
    box.run(f"{run} {_record(box)['reference']} {serve}")
    ask = "curl --silent --show-error --fail --retry 30 --retry-delay 1 --retry-all-errors http://127.0.0.1:8080"
    try:
        assert json.loads(box.run(f"podman exec served {ask}/health").stdout)["status"] == "ok"
        body = json.dumps({"prompt": "Once", "n_predict": 4})
        answer = box.run(f"podman exec served {ask}/completion --data '{body}'").stdout
        assert json.loads(answer)["timings"]["predicted_n"] == 4
        assert box.run("podman exec served id -un").stdout == "llama\n"
    finally:
        box.run("podman rm --force served")


def test_a_second_run_changes_nothing_and_check_says_so(compiled: Site) -> None:
    limit = ("--limit", compiled.boxes[0].name)
    for arguments in ((), ("--check", "--diff")):
        play = compiled.done(*limit, *arguments)
        assert (play.count("changed"), play.count("failed")) == (0, 0)


def test_another_box_pulls_the_same_image_by_digest_and_compiles_nothing(compiled: Site) -> None:
    builder, other = compiled.boxes
    compiled.done(source="git://10.0.2.2:1/nobody-asks")
    assert _record(other) == _record(builder)
    assert other.run("ls /var/lib/gpubox/images/*").stdout == "help.txt\nversion.txt\n"
    assert compiled.done().count("changed") == 0


def test_going_back_builds_nothing_and_what_is_older_is_pruned_unless_a_unit_names_it(
    small: tuple[Site, GitMirror],
) -> None:
    site, mirror = small
    (box,) = site.boxes
    one, two, three = site.variables["commit"], mirror.commit_small("two"), mirror.commit_small("three")
    site.done(commit=one, keep=1)
    box.run(f"mkdir -p /etc/containers/systemd && echo Image={_record(box)['reference']} > {_UNIT}")
    site.done(commit=two, keep=1)
    site.done(commit=three, keep=1)
    assert [tag[:7] for tag in _finished(box)] == sorted(commit[:7] for commit in (one, two, three))
    assert site.done(commit=two, keep=1).count("changed") == 1
    assert "-two" in box.run(["cat", _record(box)["help"]]).stdout
    box.run(["rm", _UNIT])
    for arguments in (("--check",), ()):
        assert site.done(*arguments, commit=two, keep=1).count("changed") == 1
    assert [tag[:7] for tag in _finished(box)] == sorted(commit[:7] for commit in (two, three))
    assert sorted(box.run("ls /var/lib/gpubox/images").stdout.split()) == _finished(box)


def test_absent_takes_images_and_files_away_but_not_from_a_container(small: tuple[Site, GitMirror]) -> None:
    site, _ = small
    (box,) = site.boxes
    site.done()
    box.run(f"podman create --name=user {_record(box)['reference']}")
    used = site.play(state="absent")
    assert used.status == 2
    assert used.message == (
        f"{box.name}: an image can't be removed: used by user; "
        "remove the profiles first (profiles.yml with -e model_profiles_state=absent)"
    )
    box.run("podman rm user")
    for arguments in (("--check",), ()):  # the images, and the files
        assert site.done(*arguments, state="absent").count("changed") == 2
    assert _finished(box) == []
    assert box.run("ls /etc/gpubox /var/lib/gpubox").stdout == "/etc/gpubox:\n\n/var/lib/gpubox:\n"
    assert site.done(state="absent").count("changed") == 0


def test_a_failed_build_names_host_thing_and_remedy_and_a_later_run_finishes(small: tuple[Site, GitMirror]) -> None:
    site, mirror = small
    (box,) = site.boxes
    good, source = site.variables["commit"], site.variables["source"]
    bad = mirror.commit_small("bad", broken=True)
    nowhere = "0123456789" * 4

    def told(**variables: Any) -> str:
        play = site.play(**variables)
        assert play.status == 2
        assert _finished(box) == []
        assert box.run("ls /etc/gpubox", check=False).status == 2
        thing = rf"^{box.name}: the (build|pull) of \S+?:{variables.get('commit', good)[:7]}-[0-9a-f]{{12}}: "
        assert re.search(thing, play.message), play.output
        return re.sub(thing, "", play.message)

    gone = told(source="git://10.0.2.2:1/gone").splitlines()
    assert gone[0] == (
        "no git repository answers at git://10.0.2.2:1/gone; "
        "start it, or set ik_llama_image_source to a clone that the box reaches"
    )
    assert "  | ik-llama-build: no git repository answers at git://10.0.2.2:1/gone" in gone
    assert told(commit=nowhere).splitlines()[0] == (
        f"{source} has no commit {nowhere}; set ik_llama_image_commit to one that it has, "
        "or ik_llama_image_source to a clone that has this one"
    )
    broken = told(commit=bad)
    assert re.match(r"it failed; all its lines are in /var/lib/gpubox/images/\w+-\w+/build.log there\n", broken)
    assert "error: #error no such luck" in broken
    assert told(registry="10.0.2.2:1").splitlines()[0] == (
        "the registry 10.0.2.2:1 can't be reached: connection refused; "
        "start it, or check its name and the box's network; then run this again"
    )
    box.run("mount -t tmpfs -o size=200m tmpfs /var/lib/containers/storage")
    full = told().splitlines()[0]
    box.run("umount /var/lib/containers/storage")
    assert full == (
        "the disk is full; free space where Podman keeps images (`podman info --format '{{.Store.GraphRoot}}'`) "
        "and in /var/tmp; `podman image prune` removes what nothing names"
    )
    site.done()
    assert [tag[:7] for tag in _finished(box)] == [good[:7]]


def test_a_registry_that_is_lost_between_push_and_pull_is_told_and_a_later_run_compiles_nothing(
    small: tuple[Site, GitMirror],
) -> None:
    site, _ = small
    (box,) = site.boxes
    with box.tunnel(5000) as port, Relay(port, b"PUT /v2/lab/ik_llama/manifests/") as relay:
        play = site.play(registry=f"10.0.2.2:{relay.port}/lab")
    assert play.status == 2
    (tag,) = json.loads(box.run("curl --silent 127.0.0.1:5000/v2/lab/ik_llama/tags/list").stdout)["tags"]
    assert play.message.splitlines()[0] == (
        f"{box.name}: the pull of 10.0.2.2:{relay.port}/lab/ik_llama:{tag}: the registry 10.0.2.2:{relay.port} can't be reached: "
        "connection refused; start it, or check its name and the box's network; then run this again"
    )
    assert box.run("ls /etc/gpubox", check=False).status == 2
    with box.tunnel(5000) as port:
        registry = f"10.0.2.2:{port}/lab"
        again = site.done(registry=registry)
    assert "TASK [ik_llama_image : The image is compiled]" not in again.output
    assert _record(box)["reference"].startswith(f"{registry}/ik_llama@sha256:")


def test_a_wrong_variable_is_told_before_anything_is_done(small: tuple[Site, GitMirror]) -> None:
    site, _ = small
    (box,) = site.boxes
    play = site.play(commit="main", build_base="debian:13", variant="cuda")
    assert play.status == 2
    assert play.message == (
        f"{box.name}: ik_llama_image_commit: must be 40 hex digits (got 'main'); "
        "`git rev-parse` prints them; a branch or a tag can change\n"
        f"{box.name}: ik_llama_image_cuda_architectures: is empty, and no GPU of the boxes is known; "
        "run provision.yml, which finds them, name the architectures (120a-real), or set the variant to cpu\n"
        f"{box.name}: ik_llama_image_build_base: must be REPOSITORY:TAG@sha256:DIGEST without a registry (got 'debian:13'); "
        "a tag can change; ik_llama_image_base_registry says which registry"
    )
    assert box.run("ls /var/lib/gpubox", check=False).status == 2


def test_boxes_whose_gpus_differ_share_an_image_for_all_of_them_even_where_only_one_is_in_the_play(
    boxes: Callable[..., list[Box]], tmp_path: Path
) -> None:
    both = boxes(2, WORKSHOP)
    for box, capability in zip(both, ("12.0", "8.9"), strict=True):
        fact = json.dumps({"gpus": [{"index": 0, "compute_capability": capability}]})
        box.run(f"mkdir -p /etc/ansible/facts.d && echo '{fact}' > /etc/ansible/facts.d/gpubox.fact")
    base = f"nvidia/cuda:13.0.1@sha256:{'a' * 64}"
    variables = {"registry": "registry.home.arpa", "build_base": base, "runtime_base": base}
    site = Site(tmp_path, both, variables)
    play = site.done("--check", "--diff", "--limit", both[0].name)
    assert '+        "gpubox.cuda-architectures": "89-real;120a-real",\n' in play.output
    alone = Site(tmp_path, both, variables | {"registry": ""}).done("--check", "--diff", "--limit", both[0].name)
    assert '+        "gpubox.cuda-architectures": "120a-real",\n' in alone.output


def test_the_build_script_builds_without_a_container(small: tuple[Site, GitMirror]) -> None:
    site, _ = small
    (box,) = site.boxes
    site.done()
    box.run("apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes cmake g++ git", limit_s=300)
    folder = Path(_record(box)["help"]).parent
    box.run(f"sh {folder}/ik-llama-build.sh {site.variables['source']} /root/work /opt/ik_llama")
    assert box.run("/opt/ik_llama/bin/llama-server --version 2>&1").stdout == "version: 1 (one)\n"

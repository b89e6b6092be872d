"""The unit of a trial: the profile's own command line with another image, and nothing that would start it twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.bisect.history import Commit
from gpubox.bisect.served import unit_text
from gpubox.bisect.session import candidate
from gpubox.box import Box
from gpubox.profile_deployment import deploy
from gpubox.profile_files import load_profile
from gpubox.systemd_quoting import split_exec, unit_values

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = f"localhost/ik_llama@sha256:{'a' * 64}"
PROFILE = """
model: {path: /srv/models/m.gguf}
engine: {image: registry.home.arpa/mine:1}
server: {ctx_size: 2048}
security: {api_key_file: /etc/gpubox/keys}
override_tensor: ['blk\\.(3|4)\\..*$=CPU']
"""


def test_the_trial_serves_as_the_profile_does(tmp_path: Path) -> None:
    (tmp_path / "glm.yml").write_text(PROFILE)
    loaded = load_profile(str(tmp_path / "glm.yml"))
    text = unit_text(loaded, Box("glm-box"), IMAGE)
    (value,) = unit_values(text, "Service", "ExecStart")
    words = split_exec(value)
    argv = list(deploy(loaded, Box("glm-box")).argv)
    assert words[-len(argv) - 1 :] == [IMAGE, *argv]
    assert {"--name=glm-bisect", "--pull=never", "--publish=127.0.0.1:8000:8000"} <= set(words)
    assert any(word.startswith("--secret=glm-api-keys,") for word in words)
    assert "Restart=no" in text
    assert "[Install]" not in text
    assert "Conflicts=" not in text


def test_the_record_tells_the_commit_and_no_image_that_did_not_serve(tmp_path: Path) -> None:
    (tmp_path / "glm.yml").write_text(PROFILE)
    loaded = load_profile(str(tmp_path / "glm.yml"))
    tried = candidate(loaded, Commit("b" * 40, "2026-01-01", "x"))
    assert tried.name == "glm@bbbbbbbbb"
    assert tried.profile.engine.commit == "b" * 40
    assert tried.profile.engine.image is None
    assert tried.hash != loaded.hash

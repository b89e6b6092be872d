"""How clients reach what a box serves."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from golden import compare
from gpubox.endpoint_settings import endpoint_settings
from gpubox.profile_files import load_profile

GLM = "glm-5.2-1.630bpw-mtp"


def profile(folder: Path, text: str) -> str:
    path = folder / "small.yml"
    path.write_text(f"model: {{path: /srv/x.gguf}}\n{text}")
    return str(path)


def test_a_profile_on_loopback_is_reached_through_a_tunnel() -> None:
    variables = {"ansible_host": "10.0.0.5", "ansible_user": "ann", "ansible_port": 2222}
    found = endpoint_settings(load_profile(GLM), "glm-box", variables, 18000)
    assert (found.base_url, found.model, found.context) == ("http://127.0.0.1:18000/v1", "test-model", 131072)
    assert found.tunnel == "ssh -N -L 18000:127.0.0.1:8000 -p 2222 ann@10.0.0.5"


def test_a_profile_on_the_lan_is_reached_directly(tmp_path: Path) -> None:
    text = "port: 8001\nserver: {alias: tiny}\nsecurity: {listen: lan, api_key_file: /etc/keys}\n"
    found = endpoint_settings(load_profile(profile(tmp_path, text)), "glm-box", {})
    assert (found.base_url, found.model, found.tunnel) == ("http://glm-box:8001/v1", "tiny", "")
    assert found.key_file == "/etc/keys"


def test_golden_settings_for_clients(tmp_path: Path) -> None:
    keyed = profile(tmp_path, "server: {ctx_size: 8192}\nsecurity: {api_key_file: /etc/keys}\n")
    found = [endpoint_settings(load_profile(name), "glm-box", {}) for name in (GLM, keyed)]
    texts = {}
    for one in found:
        texts[f"{one.profile}.sh"] = f"{one.curl}\n"
        texts[f"{one.profile}.python"] = f"import os\n\nimport openai\n\n{one.python}\n"
        texts[f"{one.profile}.json"] = json.dumps(one.zed, indent=2) + "\n"
    compare(Path(__file__).parent / "golden-clients", texts)


def test_the_body_of_the_curl_command_is_json() -> None:
    words = shlex.split(endpoint_settings(load_profile(GLM), "glm-box", {}).curl)
    assert json.loads(words[-1]) == {"model": "test-model", "messages": [{"role": "user", "content": "Hello"}]}

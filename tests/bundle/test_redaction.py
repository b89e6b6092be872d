"""What leaves the house in a bundle, and what does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.bundle.redaction import Redaction
from results.records import a_run

UUID = "GPU-0b1c2d3e-0001-4002-8003-00112233aabb"
RUNS = [
    a_run(endpoint="http://glm-box.home.arpa:8000", host={"hostname": "glm-box.home.arpa"}),
    a_run(
        endpoint="http://127.0.0.1:8000", host={"measured_from": {"hostname": "laptop"}}, model={"path": "/home/kaz/x"}
    ),
    a_run(endpoint="ssh://Tower/127.0.0.1:8000", engine={"image": "images.lan:5000/ik_llama@sha256:ab"}),
]
SECRETS = (
    "glm-box.home.arpa", "glm-box", "laptop", "/home/kaz", "/Users/kaz", "192.168.7.20", "8.8.4.4", "kaz@example.org",
    "52:54:00:12:34:56", UUID, "hf_abcdefghijklmnopqrst", "sk-abcdefghijklmnopqrst", "Tower", "images.lan", "kaz",
    "fd00:1:2::17", "fe80::5054:ff:fe12:3456", "ghp_abcdefghijklmnopqrst", "AKIAABCDEFGHIJKLMNOP",
)  # fmt: skip  # one thought


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("ssh kaz@glm-box.home.arpa and laptop", "ssh somebody@host-3 and host-4"),
        ("ask kaz@example.org, then kaz@glm-box", "ask somebody, then somebody@host-3"),
        ("mia@192.168.7.20", "somebody@address-1"),
        ("User: kaz, not kazoo", "User: somebody, not kazoo"),
        ("/srv/models/kaz/x.gguf", "/srv/models/somebody/x.gguf"),
        ("ssh://Tower/127.0.0.1:8000", "ssh://host-1/127.0.0.1:8000"),
        ("images.lan:5000/ik_llama@sha256:ab", "host-5:5000/ik_llama@sha256:ab"),
        ("listens on [fd00:1:2::17]:8000 and ::1", "listens on [address-1]:8000 and ::1"),
        (
            "at 12:34:56, bus 00000000:01:00.0, std::vector fe::x",
            "at 12:34:56, bus 00000000:01:00.0, std::vector fe::x",
        ),
        ("pp64+tg60@512 of glm@20260301", "pp64+tg60@512 of glm@20260301"),
        ("http://glm-box.home.arpa:8000/v1", "http://host-3:8000/v1"),
        ("a laptop-bag is no laptop", "a laptop-bag is no host-4"),
        ("-m /home/kaz/models/x.gguf", "-m /home/user/models/x.gguf"),
        ("bound to 0.0.0.0, asked 127.0.0.1, from 192.168.7.20", "bound to 0.0.0.0, asked 127.0.0.1, from address-1"),
        ("llama-server --api-key=topsecret -c 1", "llama-server --api-key=KEY -c 1"),
        ("Authorization: Bearer topsecret", "Authorization: Bearer KEY"),
        ("HF_TOKEN=topsecret MY_API_KEY='topsecret' x", "HF_TOKEN=KEY MY_API_KEY='KEY' x"),
        ("https://kaz:topsecret@hub.example/x?token=topsecret&a=1", "https://somebody/x?token=KEY&a=1"),
        ('{"api_key": "topsecret", "password":"topsecret"}', '{"api_key": "KEY", "password":"KEY"}'),
        ("--hf-token topsecret --api-key-file /etc/keys", "--hf-token KEY --api-key-file /etc/keys"),
        ("EOS token = 2 '</s>', n_tokens: 5, token: 7", "EOS token = 2 '</s>', n_tokens: 5, token: 7"),
        ("driver 580.95.05, 999.999.1.1", "driver 580.95.05, 999.999.1.1"),
        (f"{UUID} and {UUID}", "GPU-1 and GPU-1"),
    ],
)
def test_a_text_loses_names_addresses_and_keys_and_nothing_else(text: str, redacted: str) -> None:
    assert Redaction(RUNS).text(text) == redacted


def test_equal_names_get_equal_pseudonyms_and_different_ones_different() -> None:
    redaction = Redaction(RUNS)
    other = UUID.replace("0b1c", "ffff")
    assert [redaction.text(text) for text in (UUID, other, UUID)] == ["GPU-1", "GPU-2", "GPU-1"]
    assert [redaction.text(text) for text in ("10.0.0.1", "10.0.0.2", "10.0.0.1")] == [
        "address-1",
        "address-2",
        "address-1",
    ]


def test_a_field_that_is_called_a_key_is_replaced_and_one_that_is_a_number_is_not() -> None:
    value = {"api_key": "topsecret", "HF_TOKEN": "x", "token": "x", "eos_token": "</s>", "tokens": [1], "secret": 5}
    assert Redaction([]).value(value) == {
        "api_key": "KEY", "HF_TOKEN": "KEY", "token": "KEY", "eos_token": "</s>", "tokens": [1], "secret": 5,
    }  # fmt: skip  # one line


def test_a_users_name_that_is_a_common_word_or_a_profiles_is_left_alone() -> None:
    run = a_run(profile="glm", model={"path": "/home/root/x"}, argv=("/home/glm/y", "/home/al/z"))
    assert Redaction([run]).text("root asks glm, al asks /home/al") == "root asks glm, al asks /home/user"


def test_the_word_after_the_key_option_of_a_command_is_replaced() -> None:
    argv = ["llama-server", "--api-key", "topsecret", "-c", 4096, "-hft", "topsecret", "--api-key-file", "/etc/keys"]
    assert Redaction([]).value({"argv": argv}) == {
        "argv": ["llama-server", "--api-key", "KEY", "-c", 4096, "-hft", "KEY", "--api-key-file", "/etc/keys"]
    }


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(SECRETS).map(lambda one: f"see {one}, there"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(SECRETS) | st.text(max_size=3), inner, max_size=3),
)  # fmt: skip  # one expression


@given(JSON)
def test_no_secret_survives_anywhere_and_redacting_twice_changes_nothing(value: object) -> None:
    redaction = Redaction(RUNS)
    once = redaction.value(value)
    written = json.dumps(once, ensure_ascii=False)
    assert [secret for secret in SECRETS if f"see {secret}," in written] == []
    assert redaction.value(once) == once

"""A profile file: inheritance, bounds, rules, and all faults at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpubox.argv import layer_numbers, server_argv
from gpubox.errors import DocumentError
from gpubox.profile import IK_LLAMA_COMMIT, Profile, json_schema
from gpubox.profile_files import LoadedProfile, load_profile

REVISION = "451d18c5c05952bc322b9f9e612abc625d48b211"
BASE = f"""
model: {{repo: sokann/GLM-5.2-GGUF-1.630bpw, revision: {REVISION}, files: [{{name: GLM.gguf}}]}}
server: {{ctx_size: 131072, n_gpu_layers: 80, cache_type_k: q8_0}}
speculative: [{{type: mtp, n_max: 4, p_min: 0.5}}]
extra_args: ["-cuda", "graphs=1"]
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write profile files by name and stand in their folder; returns the first one's path."""
    monkeypatch.chdir(tmp_path)

    def write_files(**texts: str) -> Path:
        for name, text in texts.items():
            (tmp_path / f"{name}.yml").write_text(text)
        return Path(f"{next(iter(texts))}.yml")

    return write_files


def load(path: Path) -> LoadedProfile:
    return load_profile(str(path), Path())


def messages(path: Path) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        load(path)
    return str(caught.value).splitlines()


def test_a_complete_profile_becomes_one_command_line(write: Write) -> None:
    path = write(
        full=BASE
        + r"""
experts: [{layers: "3-6,40-42", device: CUDA0}, {layers: "7", device: CPU, tensors: [down]}]
override_tensor: ['blk\.6\.ffn_(up|gate)_exps\.weight=CUDA0']
sampling: {temp: 0.6, top_k: 20, top_p: 0.95}
security: {api_key_file: /etc/gpubox/keys}
"""
    )
    argv = server_argv(load(path).profile, name="full", model="/models/GLM.gguf", host="0.0.0.0", port=8000)
    assert argv == (
        "--model", "/models/GLM.gguf",
        "--ctx-size", "131072",
        "--n-gpu-layers", "80",
        "--cache-type-k", "q8_0",
        "--alias", "full",
        "--override-tensor", r"blk\.(3|4|5|6|40|41|42)\.ffn_(gate|up|down|gate_up)_exps\.weight=CUDA0",
        "--override-tensor", r"blk\.(7)\.ffn_(down)_exps\.weight=CPU",
        "--override-tensor", r"blk\.6\.ffn_(up|gate)_exps\.weight=CUDA0",
        "--spec-type", "mtp:n_max=4,p_min=0.5",
        "--temp", "0.6",
        "--top-k", "20",
        "--top-p", "0.95",
        "--host", "0.0.0.0",
        "--port", "8000",
        "--api-key-file", "/etc/gpubox/keys",
        "-cuda", "graphs=1",
    )  # fmt: skip  # a flag and its value a line


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("{mla_use: 0}", ["--mla-use", "0"]),
        ("{merge_qkv: true, no_mmap: false}", ["--merge-qkv"]),
        ("{reasoning: off}", ["--reasoning", "off"]),
        ("{tensor_split: [1, 1.5]}", ["--tensor-split", "1,1.5"]),
        (
            '{chat_template_kwargs: {reasoning_effort: "low"}}',
            ["--chat-template-kwargs", '{"reasoning_effort": "low"}'],
        ),
        ("{chat_template_kwargs: {a: null}}", ["--chat-template-kwargs", '{"a": null}']),
    ],
)
def test_a_server_field_is_the_engines_long_option(write: Write, server: str, words: list[str]) -> None:
    path = write(one=f"model: {{path: /m.gguf}}\nserver: {server}")
    argv = server_argv(load(path).profile, name="one", model="/m.gguf", host="h", port=1)
    assert list(argv) == ["--model", "/m.gguf", *words, "--alias", "one", "--host", "h", "--port", "1"]


def test_the_order_of_keys_does_not_change_the_command_line_or_the_hash(write: Write) -> None:
    write(
        a="model: {path: /m.gguf}\nserver: {ctx_size: 1, threads: 2}\nport: 9000",
        b="port: 9000\nserver: {threads: 2, ctx_size: 1}\nmodel: {path: /m.gguf}",
    )
    a, b = load(Path("a.yml")), load(Path("b.yml"))
    assert a.hash == b.hash
    assert a.profile == b.profile


def test_maps_merge_lists_replace_and_null_removes(write: Write) -> None:
    path = write(
        child="""
extends: base
server: {ctx_size: 4096, cache_type_k: null}
speculative: []
extra_args: ["--verbose-prompt"]
""",
        base=BASE,
    )
    loaded = load(path)
    assert loaded.profile.server.ctx_size == 4096
    assert loaded.profile.server.n_gpu_layers == 80
    assert loaded.profile.server.cache_type_k is None
    assert loaded.profile.speculative == []
    assert loaded.profile.extra_args == ["--verbose-prompt"]
    assert [source.name for source in loaded.sources] == ["base.yml", "child.yml"]


def test_a_fault_is_told_of_the_file_that_wrote_the_value(write: Write) -> None:
    path = write(
        child="extends: base\nserver: {threads: 0}",
        base="model: {path: /m.gguf}\nserver: {ctx_size: -1}",
    )
    assert messages(path) == [
        "base.yml: server.ctx_size: must be at least 0 (got -1)",
        "child.yml: server.threads: must be at least 1 (got 0)",
    ]


def test_a_circle_of_extends_is_shown(write: Write) -> None:
    path = write(a="extends: b", b="extends: c", c="extends: a")
    assert messages(path) == ["c.yml: extends: goes in a circle: a -> b -> c -> a; break the circle"]


def test_a_missing_parent_is_named_with_the_nearest(write: Write) -> None:
    path = write(child="extends: glm-bsae", **{"glm-base": BASE})
    assert messages(path) == ["child.yml: extends: no such profile (got glm-bsae); did you mean glm-base?"]


def test_a_parent_must_be_one_name(write: Write) -> None:
    path = write(child="extends: [a, b]")
    assert messages(path) == ['child.yml: extends: must be the name of one profile (got ["a", "b"])']


def test_an_unknown_profile_is_named_with_the_nearest(write: Write) -> None:
    write(**{"glm-base": BASE})
    with pytest.raises(DocumentError) as caught:
        load_profile("glm-bas", Path())
    assert str(caught.value) == "glm-bas: no such profile in .; did you mean glm-base?"


def test_all_faults_of_a_document_come_at_once(write: Write) -> None:
    path = write(
        b=r"""
model: {path: x, sha256: abc}
engine: {commit: 29a54f4}
gpus: [0, x]
server: {ctx_sise: 5, ubatch_size: -1, merge_qkv: 1, cache_type_k: q8_1, no_flash_attn: true, flash_attn: on, foo_bar: 1, temp: 3}
experts: [{layers: "6-3", device: CUDA3}, {layers: 5, device: GPU0}]
speculative: [{type: mtp, n_max: 1, n_min: 2}, {type: mtb}]
extra_args: ["--model", x, "--api-key", y, --ctx-size, 5]
port: 0
desription: x
"""
    )
    assert messages(path) == [
        'b.yml: model.path: must be an absolute path on the box (got "x")',
        'b.yml: model.sha256: must be a SHA-256: 64 hex digits (got "abc")',
        'b.yml: engine.commit: must be a commit: 40 hex digits (got "29a54f4"); a branch, tag or short hash can change what it means',
        'b.yml: gpus: must be `all`, `none`, or a list of GPU indices and UUIDs (got [0, "x"]); e.g. [0, 1] or [GPU-…]',
        "b.yml: server.ubatch_size: must be at least 1 (got -1)",
        'b.yml: server.cache_type_k: must be one of f32, f16, bf16, q8_0, q8_KV, q6_0, q5_1, q5_0, q4_1, q4_0, iq4_nl (got "q8_1"); did you mean q8_0?',
        "b.yml: server.merge_qkv: must be true or false (got 1)",
        "b.yml: server.ctx_sise: unknown field; did you mean ctx_size?",
        "b.yml: server.foo_bar: unknown field; an option without a field goes into extra_args: [--foo-bar, VALUE]",
        "b.yml: server.temp: unknown field; `temp` belongs to sampling",
        "b.yml: server.no_flash_attn: contradicts server.flash_attn; keep one of them",
        "b.yml: experts[1].layers: must be text (got 5); put it in quotes",
        'b.yml: experts[1].device: must be a device (got "GPU0"); write CPU, CUDA0, CUDA1, …',
        'b.yml: experts[0].layers: has a range that runs backwards (got "6-3")',
        'b.yml: speculative[1].type: must be one of mtp, draft, dflash, eagle3, suffix, ngram-simple, ngram-map-k, ngram-map-k4v, ngram-mod, ngram-cache (got "mtb"); did you mean mtp?',
        "b.yml: speculative[0].n_min: is more than n_max, 1 (got 2)",
        "b.yml: extra_args[5]: must be text (got 5); put it in quotes",
        "b.yml: extra_args[0]: --model has its own field; use model",
        "b.yml: extra_args[2]: --api-key would show a secret on the command line; use security.api_key_file",
        "b.yml: port: must be at least 1 (got 0)",
        "b.yml: desription: unknown field; did you mean description?",
    ]  # fmt: skip  # whole messages


RULES: list[tuple[str, str]] = [
    ("description: x", "p.yml: model: is required; give `repo`, `revision` and `files`, or `path`"),
    ("model: {}", "p.yml: model: needs a repo or a path; give `repo`, `revision` and `files`, or `path`"),
    ("model: {repo: a/b, path: /m}", "p.yml: model: has both a repo and a path; give `repo`, `revision` and `files`, or `path`"),
    ("model: {repo: a/b, files: [{name: x.gguf}]}", "p.yml: model.revision: is required with a repo; pin the commit: 40 hex digits"),
    (f"model: {{repo: a/b, revision: {REVISION}}}", "p.yml: model.files: is required with a repo; name the .gguf file, or every part of it"),
    (f"model: {{path: /m, revision: {REVISION}}}", "p.yml: model.revision: goes with `repo`, not with `path`; remove it"),
    (f"model: {{repo: a/b, revision: {REVISION}, files: [{{name: ../x.gguf}}]}}", 'p.yml: model.files[0].name: must be the path of a .gguf file inside the repository (got "../x.gguf")'),
    (f"model: {{repo: a/b, revision: {REVISION}, files: [{{name: a/../../x.gguf}}]}}", 'p.yml: model.files[0].name: leads out of the repository (got "a/../../x.gguf"); remove `..`'),
    ("model: {path: /m}\ngpus: []", "p.yml: gpus: is an empty list; write `none` to use no GPU"),
    ("model: {path: /m}\ngpus: [1, 1]", "p.yml: gpus: names a GPU twice (got [1, 1])"),
    ("model: {path: /m}\ngpus: [0]\nexperts: [{layers: '3', device: CUDA1}]", 'p.yml: experts[0].device: the profile uses 1 GPU (got "CUDA1"); the engine numbers them CUDA0'),
    ("model: {path: /m}\ngpus: none\nexperts: [{layers: '3', device: CUDA0}]", 'p.yml: experts[0].device: the profile uses no GPU (got "CUDA0"); use CPU'),
    ("model: {path: /m}\nengine: {name: llama_cpp}\nserver: {mla_use: 3}", "p.yml: server.mla_use: is an option of ik_llama, not of llama_cpp; remove it or change engine"),
    ("model: {path: /m}\nengine: {name: llama_cpp}\nserver: {split_mode: graph}", "p.yml: server.split_mode: `graph` is a mode of ik_llama, not of llama_cpp; use layer"),
    ("model: {path: /m}\nserver: {split_mode: row}", "p.yml: server.split_mode: `row` is a mode of llama_cpp, not of ik_llama; use layer or graph"),
    ("model: {path: /m}\nengine: {name: llama_cpp}\nspeculative: [{type: mtp}]", "p.yml: speculative: stages are written for ik_llama, not for llama_cpp; give that engine's own flags in extra_args"),
    ("model: {path: /m}\nspeculative: [{type: mtp}, {type: mtp}]", 'p.yml: speculative[1].type: is the same as the first stage\'s (got "mtp")'),
    ("model: {path: /m}\nspeculative: [{type: mtp}, {type: suffix}]", "p.yml: speculative: the engine refuses mtp followed by suffix; two stages are an n-gram or suffix stage, then mtp or draft"),
    ("model: {path: /m}\nspeculative: [{type: draft}]", "p.yml: speculative[0].type: `draft` needs a draft model; add --model-draft FILE to extra_args"),
    ("model: {path: /m}\nspeculative: [{type: suffix}, {type: mtp}, {type: draft}]", 'p.yml: speculative: can have at most 2 items (got [{"type": "suffix"}, {"type": "mtp"}, {"type": "draft"}])'),
    ("model: {path: /m}\nserver: {fit: true, n_cpu_moe: 4}", "p.yml: server.fit: the engine refuses `fit` together with n_cpu_moe; remove one of them"),
    ("model: {path: /m}\nserver: {cont_batching: true, no_cont_batching: true}", "p.yml: server.no_cont_batching: contradicts server.cont_batching; keep one of them"),
    ("model: {path: /m}\nserver: {rope_scale: .inf}", "p.yml: server.rope_scale: must be a finite number (got Infinity)"),
    ("model: {path: /m}\nsampling: {temp: cold}", 'p.yml: sampling.temp: must be a number (got "cold")'),
    ("model: {path: /m}\nserver: 5", "p.yml: server: must be a mapping of fields (got 5)"),
    ("model: {path: /m}\nexperts: {layers: '3', device: CPU}", 'p.yml: experts: must be a list (got {"layers": "3", "device": "CPU"}); write each item on a line of its own, after `- `'),
    ('model: {path: /m}\nextra_args: ["a\\0b"]', "p.yml: extra_args[0]: contains a NUL character, which no command line can carry"),
    ("model: {path: /m}\nserver: {threads: 8}\nextra_args: [--threads, '4']", "p.yml: extra_args[0]: --threads is also set by server.threads; keep one of them"),
    ("model: {path: /m}\npublished: {tg_tps: [1]}", "p.yml: published.source: is required"),
    ("model: {path: /m}\nhealth: {start_timeout: 1.5}", "p.yml: health.start_timeout: must be a whole number (got 1.5)"),
    ("model: {path: /m}\nsecurity: {listen: everywhere}", 'p.yml: security.listen: must be one of loopback, lan (got "everywhere")'),
]  # fmt: skip  # a case a line, whole messages


@pytest.mark.parametrize(("text", "message"), RULES)
def test_a_broken_rule_is_named_whole(write: Write, text: str, message: str) -> None:
    assert messages(write(p=text)) == [message]


def test_a_file_name_that_no_service_can_have_is_refused(write: Write) -> None:
    path = write(**{"My Profile": "model: {path: /m.gguf}"})
    (message,) = messages(path)
    assert message == (
        "My Profile.yml: the file's name can't name a service (got 'My Profile'); "
        "use lower-case letters, digits, `.`, `_` and `-`, at most 63 characters"
    )


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"description": "other words"}, True),
        ({"published": {"tg_tps": [39.0], "source": "a post"}}, True),
        ({"engine": {"name": "ik_llama", "commit": IK_LLAMA_COMMIT}}, True),
        ({"gpus": "all"}, True),
        ({"health": {"start_timeout": 1800}}, True),
        ({"server": {"ctx_size": 4096}}, False),
        ({"extra_args": ["--verbose-prompt"]}, False),
        ({"port": 8001}, False),
        ({"engine": {"name": "ik_llama", "commit": "0" * 40}}, False),
    ],
)
def test_the_hash_is_over_what_changes_behaviour(write: Write, change: dict[str, Any], same: bool) -> None:  # noqa: FBT001  # a table's column
    plain = {"model": {"path": "/m.gguf"}}
    write(a=json.dumps(plain), b=json.dumps(plain | change))
    assert (load(Path("a.yml")).hash == load(Path("b.yml")).hash) is same


def test_the_hash_of_a_known_profile_does_not_drift(write: Write) -> None:
    assert load(write(base=BASE)).hash == "3b91e72aa36a069ba8ee9b2ad2f756c07ebcd4329c395f117b1fa5134cafd6c9"


def test_layers_are_read_as_ranges() -> None:
    assert layer_numbers("3-6, 40-42,5") == [3, 4, 5, 6, 40, 41, 42]
    assert layer_numbers("6-3") is None


def test_every_field_of_the_document_is_described() -> None:
    schema = json_schema()
    bare = [
        f"{name}.{field}"
        for name, model in {"Profile": schema, **schema["$defs"]}.items()
        for field, value in model.get("properties", {}).items()
        if "description" not in value
    ]
    assert bare == []


def test_unknown_fields_are_refused_everywhere() -> None:
    schema = json_schema()
    models = [model for model in (schema, *schema["$defs"].values()) if model.get("type") == "object"]
    assert all(model.get("additionalProperties") is False for model in models)


def test_a_loaded_profile_can_be_validated_again_from_its_document(write: Write) -> None:
    profile = load(write(base=BASE)).profile
    assert Profile.model_validate(profile.document()) == profile

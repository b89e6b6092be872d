"""Find out which llama.cpp-family server answers at an endpoint, and what it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpubox.errors import EndpointError

if TYPE_CHECKING:
    from gpubox.endpoint import Endpoint

PROBE_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Identity:
    """Who answers.

    Attributes:
        engine: `ik_llama`, `llama_cpp`, or `unknown` for one that speaks the same API without saying its name.
        build: build number and commit where the server tells them.
        n_ctx: context of one slot, tokens; None when not told.
        slots: number of slots.
        model_path: the model file as the server sees it.
        model_name: alias in the API.
        model_meta: n_params, size, n_ctx_train, … where told.
    """

    engine: str
    build: str | None
    n_ctx: int | None
    slots: int | None
    model_path: str | None
    model_name: str | None
    model_meta: dict[str, Any]


def identify(endpoint: Endpoint) -> Identity:
    """Return who answers at `endpoint`.

    Raises:
        EndpointError: nothing answers, or something that is not a llama.cpp-family server.
    """
    props_answer = endpoint.get("/props", timeout_s=PROBE_TIMEOUT_S)
    if props_answer.status in {401, 403}:
        remedy = "give its key with --api-key-file"
        raise EndpointError(endpoint.url, f"wants an API key (answered {props_answer.status})", remedy)
    if props_answer.status == 503:
        raise EndpointError(endpoint.url, "is still loading its model", "wait until it is ready")
    props = props_answer.json() if props_answer.status == 200 else {}
    props = props if isinstance(props, dict) else {}
    _require_tokenizer(endpoint)
    header = props_answer.headers.get("server", "")
    if header == "ik_llama.cpp":
        engine = "ik_llama"
    elif header == "llama.cpp" or "build_info" in props:
        engine = "llama_cpp"
    else:
        engine = "unknown"
    settings = props.get("default_generation_settings")
    n_ctx = settings.get("n_ctx") if isinstance(settings, dict) else None
    name, meta = _served_model(endpoint)
    return Identity(
        engine=engine,
        build=_text(props.get("build_info")),
        n_ctx=n_ctx if isinstance(n_ctx, int) and n_ctx > 0 else None,
        slots=props["total_slots"] if isinstance(props.get("total_slots"), int) else None,
        model_path=_text(props.get("model_path")),
        model_name=_text(props.get("model_alias")) or name,
        model_meta=meta,
    )


def _require_tokenizer(endpoint: Endpoint) -> None:
    """Only this family counts tokens for its clients; anything else is told apart here."""
    answer = endpoint.post("/tokenize", {"content": "one two"}, timeout_s=PROBE_TIMEOUT_S)
    value = answer.json()
    if answer.status in {401, 403}:
        remedy = "give its key with --api-key-file"
        raise EndpointError(endpoint.url, f"wants an API key (answered {answer.status})", remedy)
    if answer.status != 200 or not isinstance(value, dict) or not isinstance(value.get("tokens"), list):
        kind = answer.headers.get("content-type", "nothing").split(";")[0]
        fault = (
            f"is not a llama.cpp-family server: POST /tokenize answered {answer.status} with {kind}, not with tokens"
        )
        raise EndpointError(endpoint.url, fault, "give the URL of llama-server itself")


def _served_model(endpoint: Endpoint) -> tuple[str | None, dict[str, Any]]:
    answer = endpoint.get("/v1/models", timeout_s=PROBE_TIMEOUT_S)
    value = answer.json() if answer.status == 200 else None
    models = value.get("data") if isinstance(value, dict) else None
    first = models[0] if isinstance(models, list) and models and isinstance(models[0], dict) else {}
    meta = first.get("meta")
    return _text(first.get("id")), meta if isinstance(meta, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None

"""How clients reach what a box serves: base URL, tunnel, and ready settings for curl, the OpenAI client and Zed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpubox.profile_files import LoadedProfile

CONTEXT = 4096  # tokens, of a profile that leaves it to the engine
NO_KEY = "none"  # the OpenAI clients insist on one


@dataclass(frozen=True)
class EndpointSettings:
    """What a client needs to know.

    Attributes:
        profile: its name.
        base_url: of the OpenAI API, as the client reaches it.
        model: the alias to ask for.
        context: tokens.
        tunnel: the command that makes `base_url` reachable; empty where the box serves the LAN.
        key_file: the file on the box with the API keys; empty without.
    """

    profile: str
    base_url: str
    model: str
    context: int
    tunnel: str
    key_file: str

    @property
    def curl(self) -> str:
        """A command that asks for one answer."""
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": "Hello"}]})
        key = ' -H "Authorization: Bearer $API_KEY"' if self.key_file else ""
        return f"curl {self.base_url}/chat/completions{key} -H 'Content-Type: application/json' -d '{body}'"

    @property
    def python(self) -> str:
        """The same with the OpenAI client."""
        key = 'os.environ["API_KEY"]' if self.key_file else f'"{NO_KEY}"'
        return (
            f'client = openai.OpenAI(base_url="{self.base_url}", api_key={key})\n'
            f'client.chat.completions.create(model="{self.model}", messages=[{{"role": "user", "content": "Hello"}}])'
        )

    @property
    def zed(self) -> dict[str, Any]:
        """What goes into Zed's settings.json; Zed takes the key from $GPUBOX_API_KEY."""
        model = {"name": self.model, "display_name": self.profile, "max_tokens": self.context}
        provider = {"api_url": self.base_url, "available_models": [model]}
        return {"language_models": {"openai_compatible": {"gpubox": provider}}}


def endpoint_settings(
    loaded: LoadedProfile, host: str, variables: Mapping[str, Any], local_port: int | None = None
) -> EndpointSettings:
    """Return how a profile that serves on a box is reached.

    Args:
        loaded: the profile.
        host: the box, as in the inventory.
        variables: its variables.
        local_port: where the tunnel begins; by default the profile's own port.
    """
    profile = loaded.profile
    address = str(variables.get("ansible_host") or host)
    tunnel, reached = "", f"{address}:{profile.port}"
    if profile.security.listen == "loopback":
        begin = local_port or profile.port
        user, port = variables.get("ansible_user"), variables.get("ansible_port")
        words = ["ssh", "-N", "-L", f"{begin}:127.0.0.1:{profile.port}", *(["-p", str(port)] if port else [])]
        tunnel, reached = " ".join([*words, f"{user}@{address}" if user else address]), f"127.0.0.1:{begin}"
    return EndpointSettings(
        profile=loaded.name,
        base_url=f"http://{reached}/v1",
        model=profile.server.alias or loaded.name,
        context=profile.server.ctx_size or CONTEXT,
        tunnel=tunnel,
        key_file=profile.security.api_key_file or "",
    )

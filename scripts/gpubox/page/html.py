"""The page's HTML: one file, nothing fetched, everything escaped."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gpubox import __version__
from gpubox.results.energy import HEADS as ENERGY_HEADS
from gpubox.results.first_steps import FIRST_STEPS
from gpubox.results.latest import subject
from gpubox.results.mtp_table import HEADS as MTP_HEADS
from gpubox.results.profile_table import HEADS
from gpubox.results.wording import compact, estimate
from gpubox.template_files import template_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.page.content import Content

# Each after the licence that it is under; ours needs none in what it makes.
SCRIPTS = (("d3.LICENSE", "d3.min.js"), ("plot.LICENSE", "plot.umd.min.js"))


def html(content: Content, *, written_at: str) -> str:
    """Return the page.

    Args:
        content: what it says.
        written_at: when, as people read it.
    """
    environment = Environment(
        loader=FileSystemLoader(template_folder()),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2").render(
        page={
            "content": content,
            "written_at": written_at,
            "version": __version__,
            "heads": HEADS,
            "mtp_heads": MTP_HEADS,
            "energy_heads": ENERGY_HEADS,
            "first_steps": FIRST_STEPS,
            "style": Markup(_asset("page.css")),  # noqa: S704  # our own files
            "scripts": [Markup(text) for text in _scripts()],  # noqa: S704  # our own and vendored files
            "data": _json(content.data),
            "subject": subject,
            "estimate": estimate,
            "compact": compact,
        }
    )


def _scripts() -> Iterator[str]:
    for licence, name in SCRIPTS:
        yield f"/*\n{_asset(f'vendor/{licence}')}*/\n{_asset(f'vendor/{name}')}"
    yield _asset("page.js")


def _asset(name: str) -> str:
    return resources.files("gpubox.page").joinpath(name).read_text("utf-8")


def _json(value: dict[str, Any]) -> Markup:
    """Return JSON that may stand in a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704  # escaped right above

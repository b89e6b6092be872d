"""The page's HTML: one file, nothing fetched, everything escaped."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gpubox import __version__
from gpubox.page.rows import HEADS
from gpubox.results.mtp_table import HEADS as MTP_HEADS
from gpubox.results.report import subject
from gpubox.results.wording import compact, estimate
from gpubox.template_files import template_folder

if TYPE_CHECKING:
    from gpubox.page.content import Content

SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "page.js")


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
            "style": Markup(_asset("page.css")),  # noqa: S704  # our own files
            "scripts": [Markup(_asset(name)) for name in SCRIPTS],  # noqa: S704  # our own and vendored files
            "data": _json(content.data),
            "subject": subject,
            "estimate": estimate,
            "compact": compact,
        }
    )


def _asset(name: str) -> str:
    return resources.files("gpubox.page").joinpath(name).read_text("utf-8")


def _json(value: dict[str, Any]) -> Markup:
    """Return JSON that may stand in a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704  # escaped right above

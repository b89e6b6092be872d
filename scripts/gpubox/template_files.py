"""The files of `templates/`, rendered as Ansible's `template` module renders them: byte for byte the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render_template(name: str, **variables: object) -> str:
    r"""Return a template's text, with `\n` line ends.

    Args:
        name: the file's name in `templates/`.
        variables: what it takes; one that is missing is a bug, and raises.
    """
    return _environment().get_template(name).render(**variables)


def template_folder() -> Path:
    """Find the templates beside the package (installed) or at the root of the checkout."""
    here = Path(__file__).resolve()
    installed = here.parent / "templates"
    return installed if installed.is_dir() else here.parents[2] / "templates"


@cache
def _environment() -> Environment:
    return Environment(  # noqa: S701 -- units and scripts are no HTML
        loader=FileSystemLoader(template_folder()),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )

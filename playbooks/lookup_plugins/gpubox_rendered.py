"""Ansible lookup: files of `templates/`, rendered, to be compared with what a box has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.plugins.lookup import LookupBase

from gpubox.template_files import render_template

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCUMENTATION = """
name: gpubox_rendered
short_description: rendered files of gpubox's templates
description:
  - Renders templates of the folder C(templates); whatever else is given by name is what they take.
options:
  _terms:
    description: One dictionary, from the template's name to the path that the file has on the box.
    required: true
"""

RETURN = """
_raw:
  description: One dictionary a file, with C(dest) and C(content).
  type: list
"""


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(
        self,
        terms: list[Mapping[str, str]],
        variables: dict[str, Any] | None = None,  # noqa: ARG002  # as the base class
        **kwargs: Any,  # noqa: ANN401  # likewise
    ) -> list[dict[str, str]]:
        """Return the files in the order that they were given in."""
        return [{"dest": str(dest), "content": render_template(str(name), **kwargs)} for name, dest in terms[0].items()]

"""Ansible lookup: the program that switches profiles on a box, as a file to copy there."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from gpubox.switch_archive import write_switch_archive

DOCUMENTATION = """
name: gpubox_switch_program
short_description: the program that switches profiles on a box
description:
  - Packs the program into one file below C($XDG_CACHE_HOME/gpubox) and says where. The same sources give the same bytes.
options:
  _terms:
    description: None.
"""

RETURN = """
_raw:
  description: One dictionary, its path C(src) and its C(sha256).
  type: list
"""


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, str]]:  # noqa: ANN401, ARG002  # as the base class
        """Return the path; a cache that can't be written becomes Ansible's error."""
        self.set_options(var_options=variables, direct=kwargs)
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpubox"
        try:
            path = write_switch_archive(cache)
            return [{"src": str(path), "sha256": sha256(path.read_bytes()).hexdigest()}]
        except OSError as error:
            raise AnsibleError(f"gpubox: {cache}: can't be written: {error.strerror}") from error

"""Ansible lookup: the models that some profiles serve, each once, as the role gguf_models wants them."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from gpubox.errors import GpuboxError
from gpubox.profile_files import load_profile

DOCUMENTATION = """
name: gpubox_models
short_description: models of gpubox profiles
description:
  - Reads, merges and validates the profiles, and returns what they serve.
options:
  _terms:
    description: Names of profiles.
    required: true
"""

RETURN = """
_raw:
  description: One dictionary a model, either repo, revision and files, or path.
  type: list
"""


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # as the base class
        """Return the models; every fault of every profile becomes Ansible's error."""
        self.set_options(var_options=variables, direct=kwargs)
        models: list[dict[str, Any]] = []
        try:
            for name in terms:
                model = load_profile(str(name)).profile.model.model_dump(exclude_none=True)
                if model not in models:
                    models.append(model)
        except GpuboxError as error:
            raise AnsibleError(f"gpubox: {error}") from error
        return models

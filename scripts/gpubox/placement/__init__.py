"""Where every byte of a model lands on a box, before anything is downloaded or stopped.

`read_flags` and `read_model` say what is asked for, `place` says where it goes. The engine's own rules are followed, with
the lines of its source that they stand in; what is assumed or inferred is said in the findings.
"""

from gpubox.placement.flags import Flags, read_flags
from gpubox.placement.machine import Machine
from gpubox.placement.model import Model, read_model
from gpubox.placement.placement import Device, Placement, place

__all__ = ["Device", "Flags", "Machine", "Model", "Placement", "place", "read_flags", "read_model"]

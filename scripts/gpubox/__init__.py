"""gpubox: declare GPU boxes and model profiles, switch them safely, benchmark what is deployed."""

__version__ = "0.1.0"

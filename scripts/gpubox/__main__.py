"""`python -m gpubox` is the same as the `gpubox` command."""

from gpubox.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

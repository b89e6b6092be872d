"""An hour of switches under random faults, watched on the box itself: `make e2e-soak MINUTES=60 SEED=1` (root)."""

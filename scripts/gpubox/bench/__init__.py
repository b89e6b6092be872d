"""Measure an endpoint: identify it, make exact prompts, take samples until the interval is tight."""

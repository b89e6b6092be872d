"""Runs in one file for somebody else's gpubox: records, profiles, flag catalogues and logs, redacted."""

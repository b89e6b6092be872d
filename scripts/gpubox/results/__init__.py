"""Keeping, reading and comparing what was measured.

    store       append-only storage of runs and samples (SQLite or PostgreSQL)
    stats       intervals and differences of means
    trend       whether a series rises or falls
    metrics     what is read off a sample: PP, TG, TTFT, draft acceptance
    summary     one run in numbers, with its flags
    selection   the names that a user gives for runs
    compare     two selections, workload by workload
    export      JSON lines, CSV, llama-bench's JSON
    report      Markdown

Only `store` and what it stands on import SQLAlchemy.
"""

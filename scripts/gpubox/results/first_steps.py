"""What to type where nothing is measured yet."""

NOTHING_YET = "Nothing is measured yet."
FIRST_STEPS = (
    ("gpubox demo", "two small profiles, served and measured on this machine"),
    ("gpubox bench --endpoint http://127.0.0.1:8000", "a server that runs"),
    ("gpubox bench PROFILE --host BOX", "what is deployed on a box"),
)

"""The flags of each run of "Running GLM-5.2 (744B-A40B) GGUFs Locally: Did MTP Help?", by profile.

Five commands are published whole; of the others the source says what they add to which of these.
"""

from __future__ import annotations

import shlex

_SMALL = "-m /models/snapshots/451d18c5c05952bc322b9f9e612abc625d48b211/GLM-5.2-GGUF-1.630bpw.gguf"
_LARGE = "-m /models/snapshots/16264a0f7b811d976a9acf704d8511f1127ada30/GLM-5.2-GGUF-2.244bpw.gguf"
_MTP = "--spec-type mtp:n_max=4,p_min=0.5"
_ADDRESS = "--host 0.0.0.0 --port 8000 --alias test-model"

PART_1 = rf"""{_SMALL}
--merge-qkv --ctx-size 131072 --parallel 1 --threads 15 --threads-batch 15
-ctk q8_0 -b 8192 -ub 2048 -ngl 80 -mla 3 -muge -ger -amb 512
--temp 0.6 --top-k 20 --top-p 0.95 --jinja --reasoning off --warmup-batch {_ADDRESS}"""

PART_3 = rf"""{_LARGE}
--merge-qkv --ctx-size 102400 --parallel 1 --threads 15 --threads-batch 15
-ctk q8_0 -b 2048 -ub 2048 -sm graph -ngl 65 -mla 3 -amb 512 -muge -ger
--temp 0.6 --top-k 20 --top-p 0.95 --jinja --reasoning off --warmup-batch {_ADDRESS}"""

PART_4 = rf"""{_LARGE}
-ngl 99 -cmoe
-ot 'blk\.([345]|1[0-9]2[0-9]|6[0-9]|7[0-7])\.ffn_.*_exps\.weight=CUDA0'
-ot 'blk\.6\.ffn_(up|gate)_exps\.weight=CUDA0'
-ot 'blk\.(40|41|42)\.ffn_.*_exps\.weight=CUDA0'
--threads 15 --threads-batch 15 -mla 3 -amb 512 -c 131072 -ctk q8_0 -khad
-b 8192 -ub 4096 -wgt 1 -muge --jinja --parallel-tool-calls
--chat-template-kwargs '{{"reasoning_effort": "low"}}' {_ADDRESS}"""

PART_6 = rf"""{_LARGE}
--merge-qkv --ctx-size 32768 --parallel 1 --threads 15 --threads-batch 15
-ctk q8_0 -b 2048 -ub 2048 -ngl 70 -mla 3 -amb 512 -muge -ger
--temp 0.6 --top-k 20 --top-p 0.95 --jinja --reasoning off --warmup-batch {_ADDRESS}"""

PART_7_OVERRIDE = r"-ot 'blk\.([3-9]|4[0-9])\.ffn_.*_exps\.weight=CPU'"

# Published as far as the address, which is that of the other commands here.
PART_8 = rf"""{_LARGE}
--no-mmap -ngl 99 -cmoe -sm graph
-ot 'blk\.([345])\.ffn_.*_exps\.weight=CUDA0'
-ot 'blk\.6\.ffn_(up|gate)_exps\.weight=CUDA0'
-ot 'blk\.(40|41|42)\.ffn_.*_exps\.weight=CUDA1'
-mla 1 -amb 512 -c 102400 -ctk q6_0 -khad
-b 2048 -ub 2048 -wgt 1 -cram 0 -muge -cuda graphs=1
--jinja --parallel-tool-calls --chat-template-kwargs '{{"reasoning_effort": "high"}}' {_MTP} {_ADDRESS}"""

# Where a run changes a flag of another, the later one counts, as it does for the engine.
COMMANDS = {
    "glm-5.2-1.630bpw": PART_1,
    "glm-5.2-1.630bpw-mtp": f"{PART_1} {_MTP}",
    "glm-5.2-1.630bpw-mtp-p0": f"{PART_1} --spec-type mtp:n_max=4,p_min=0.0",
    "glm-5.2-1.630bpw-cpu-experts-mtp": f"{PART_1} -ot exps=CPU {_MTP}",
    "glm-5.2-2.244bpw-1gpu": PART_4,
    "glm-5.2-2.244bpw-1gpu-mla1-mtp": f"{PART_4} -mla 1 {_MTP}",
    "glm-5.2-2.244bpw-1gpu-mla3-mtp": f"{PART_4} {_MTP}",
    "glm-5.2-2.244bpw-cmoe-mtp": f"{PART_6} -ngl 99 -cmoe {_MTP}",
    "glm-5.2-2.244bpw-few-experts-mtp": PART_8,
    "glm-5.2-2.244bpw-ngl50-mla1-mtp": f"{PART_6} -ngl 50 -mla 1 {PART_7_OVERRIDE} {_MTP}",
    "glm-5.2-2.244bpw-ngl50-mla3-mtp": f"{PART_6} -ngl 50 -mla 3 {PART_7_OVERRIDE} {_MTP}",
    "glm-5.2-2.244bpw-ngl65-graph": PART_3,
    "glm-5.2-2.244bpw-ngl65-mtp": f"{PART_6} -ngl 65 {_MTP}",
    "glm-5.2-2.244bpw-ngl70": PART_6,
}


def flags(profile: str) -> list[str]:
    """Return the arguments of llama-server in the run that a profile repeats."""
    return shlex.split(COMMANDS[profile])

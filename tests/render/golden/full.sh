podman run --name=glm-5.2-1.630bpw-mtp --rm --replace \
    --device=nvidia.com/gpu=GPU-5f6d1c2e-3a4b-4c5d-8e9f-0a1b2c3d4e5f \
    --device=nvidia.com/gpu=GPU-0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9 \
    --cap-drop=all \
    --cap-add=SYS_NICE \
    --cap-add=IPC_LOCK \
    --security-opt=no-new-privileges \
    --read-only \
    --read-only-tmpfs=true \
    --tmpfs=/var/cache/llama \
    --volume=/srv/models/models--sokann--GLM-5.2-GGUF-1.630bpw:/models:ro \
    --volume=/var/lib/gpubox/slots:/slots:rw,z \
    --secret=glm-api-key,type=mount,target=/run/secrets/api-key \
    --publish=0.0.0.0:8000:8080 \
    '--publish=[::1]:8001:8080' \
    --env=CUDA_VISIBLE_DEVICES=0,1 \
    '--env=GREETING=it'"'"'s $5 \ 100% "free"' \
    --env=EMPTY= \
    --stop-timeout=120 \
    --pull=never \
    '--health-cmd=curl -fsS '"'"'http://127.0.0.1:8080/health'"'"' | grep -q "ok"' \
    --health-interval=30s \
    --health-timeout=10s \
    --health-retries=3 \
    --health-start-period=1200s \
    --ulimit=memlock=-1:-1 \
    --shm-size=8g \
    localhost/ik_llama@sha256:4d1fcf4a1ea1e1e1b8f3a0c5ab7b3c1a2f1f0a9be1f2f6d7c8b9a0e1d2c3b4a5 \
    --model /models/snapshots/451d18c5/GLM-5.2-GGUF-1.630bpw.gguf \
    --ctx-size 131072 \
    -ngl 80 \
    -ot 'blk\.(3|4|5|6)\.ffn_(up|gate|down)_exps\.weight=CUDA0' \
    -ot 'blk\.[0-9]+\.ffn_.*_exps\.=CPU$' \
    -cuda graphs=1 \
    --chat-template-kwargs '{"enable_thinking": false, "note": "it'"'"'s 100% \"quoted\""}' \
    --grammar 'root ::= "yes" | "no"
' \
    --seed -1 \
    --api-key-file /run/secrets/api-key

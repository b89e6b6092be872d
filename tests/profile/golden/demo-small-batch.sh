podman run --name=demo-small-batch --rm --replace \
    --cap-drop=all \
    --cap-add=SYS_NICE \
    --security-opt=no-new-privileges \
    --read-only \
    --read-only-tmpfs=true \
    --volume=/var/lib/gpubox/models:/models:ro,z \
    --publish=127.0.0.1:18080:8000 \
    --stop-timeout=10 \
    '--health-cmd=curl --silent --fail --max-time 5 http://127.0.0.1:8000/health' \
    --health-interval=30s \
    --health-timeout=6s \
    --health-retries=3 \
    --health-start-period=60s \
    registry.home.arpa/ik_llama:latest \
    --model /models/gpubox-demo.gguf \
    --ctx-size 4096 \
    --batch-size 512 \
    --ubatch-size 32 \
    --parallel 1 \
    --threads 1 \
    --threads-batch 1 \
    --cache-ram 0 \
    --n-gpu-layers 0 \
    --alias demo-small-batch \
    --temp 0.6 \
    --top-k 20 \
    --top-p 0.95 \
    --host 0.0.0.0 \
    --port 8000

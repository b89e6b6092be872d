podman run --name=qwen --rm --replace \
    --device=nvidia.com/gpu=all \
    --device=/dev/dri/renderD128 \
    --cap-drop=all \
    --volume=/srv/models:/models:ro \
    --network=host \
    --stop-timeout=60 \
    registry.example:5000/llama.cpp/server:b9000 \
    --host 127.0.0.1 \
    --port 8000 \
    --model /models/qwen.gguf

podman run --name=tiny --rm --replace \
    --cap-drop=all \
    --cap-add=SYS_NICE \
    --security-opt=no-new-privileges \
    --read-only \
    --read-only-tmpfs=true \
    --stop-timeout=60 \
    localhost/llama:1 \
    --model /models/tiny.gguf

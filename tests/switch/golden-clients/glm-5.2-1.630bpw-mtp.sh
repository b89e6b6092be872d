curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' -d '{"model": "test-model", "messages": [{"role": "user", "content": "Hello"}]}'

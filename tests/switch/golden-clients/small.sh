curl http://127.0.0.1:8000/v1/chat/completions -H "Authorization: Bearer $API_KEY" -H 'Content-Type: application/json' -d '{"model": "small", "messages": [{"role": "user", "content": "Hello"}]}'

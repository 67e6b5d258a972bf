#!/bin/sh
# Sends one message of a session: interact.sh HOST PORT
exec curl -sS -w '\n%{http_code}\n' -X POST "http://$1:$2/api/mcp/interact" \
    -H 'Content-Type: application/json' \
    -d '{"sessionId": "123", "message": "hello", "context": {"user": "Alice"}}'

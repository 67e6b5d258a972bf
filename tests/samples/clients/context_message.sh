#!/bin/sh
# Sends a message into a context: context_message.sh HOST PORT ID [BODY]
body=${4:-'{"message": "Hello, can you help me plan a trip?"}'}
exec curl -sS -w '\n%{http_code}\n' -X POST "http://$1:$2/mcp/context/$3/message" \
    -H 'Content-Type: application/json' -d "$body"

#!/bin/sh
# Shows what goes over the wire while a message is sent: headers.sh HOST PORT
exec curl -sS -v -X POST "http://$1:$2/api/mcp/interact" \
    -H 'Content-Type: application/json' \
    -d '{"sessionId": "headers", "message": "hello"}'

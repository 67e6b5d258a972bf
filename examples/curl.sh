#!/usr/bin/env bash
# A conversation with nothing but curl: create, talk, stream, read, delete.
#
#     examples/curl.sh [http://localhost:61900]
#
# With a key: RAPPORT_API_KEY=rap_… examples/curl.sh
set -euo pipefail

base="${1:-${RAPPORT_URL:-http://localhost:61900}}"

sign=()
if [ -n "${RAPPORT_API_KEY:-}" ]; then
    sign=(--header "Authorization: Bearer $RAPPORT_API_KEY")
fi

# --fail-with-body ends with an error for 4xx and 5xx, and still shows what the server said.
call() {
    curl --silent --show-error --fail-with-body --no-buffer --noproxy '*' \
        ${sign[@]+"${sign[@]}"} --header 'Content-Type: application/json' "$@"
    echo
}

echo '# one request is enough: the session is made on first use'
call "$base/api/mcp/interact" \
    --data '{"sessionId": "curl-example", "message": "Hello", "context": {"user_id": "u1"}}'

echo '# the same conversation, continued over the native API and streamed'
call "$base/api/v1/contexts/curl-example/turns" \
    --data '{"message": "Tell me about trains", "stream": true}'

echo '# its last two messages'
call "$base/api/v1/contexts/curl-example/messages?last=2"

echo '# its state'
call "$base/api/v1/contexts/curl-example/state"

echo '# gone'
call --request DELETE "$base/api/v1/contexts/curl-example"

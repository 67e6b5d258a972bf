#!/usr/bin/env bash
# Runs every example against a server of its own, on a free port, with an empty data folder.
#
#     examples/run.sh [target/debug/rapport]
#
# Needs curl, python3 and node. Ends with `N passed, N failed`; the exit code says the same.
set -uo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
binary="${1:-$here/../target/debug/rapport}"
if [ ! -x "$binary" ]; then
    echo "there is no program \`$binary\`: build it with \`cargo build -p rapport\`" >&2
    exit 2
fi
binary="$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")"

place="$(mktemp -d)"
server=""
finish() {
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    rm -rf "$place"
}
trap finish EXIT

# Nothing of the person who runs this: no key, no proxy, no configuration file.
mkdir "$place/home"
clean=(env -i "PATH=$PATH" "HOME=$place/home" LANG=C.UTF-8)
cd "$place" || exit 2
"${clean[@]}" "$binary" serve --port 0 --data "$place/data" >out.log 2>err.log </dev/null &
server=$!

ready='^rapport is listening on \(http:.*\)$'
url=""
for _ in $(seq 200); do
    url="$(sed -n "s/$ready/\1/p" out.log | head -n 1)"
    [ -n "$url" ] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
if [ -z "$url" ]; then
    echo "the server did not start:" >&2
    cat out.log err.log >&2
    exit 1
fi

passed=0
failed=0
run() {
    local name="$1"
    shift
    if "${clean[@]}" "RAPPORT_URL=$url" timeout 60 "$@" >"$place/example.log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name (exit code $?)"
        sed 's/^/        /' "$place/example.log"
        failed=$((failed + 1))
    fi
}

run curl.sh bash "$here/curl.sh"
run python_http.py python3 "$here/python_http.py"
run python_mcp_client.py python3 "$here/python_mcp_client.py"
run node.mjs node "$here/node.mjs"
run raw_socket.py python3 "$here/raw_socket.py"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

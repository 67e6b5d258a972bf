#!/bin/sh
# Sends a line that is no JSON and waits until the server hangs up: free_text.sh HOST PORT
echo "Hello MCP Server" | nc "$1" "$2"

#!/bin/sh
# Reads a whole context: context_get.sh HOST PORT ID
exec curl -sS -w '\n%{http_code}\n' "http://$1:$2/mcp/context/$3"

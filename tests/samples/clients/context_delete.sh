#!/bin/sh
# Deletes a context: context_delete.sh HOST PORT ID
exec curl -sS -w '\n%{http_code}\n' -X DELETE "http://$1:$2/mcp/context/$3"

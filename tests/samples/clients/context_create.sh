#!/bin/sh
# Makes a context, without a body: context_create.sh HOST PORT
exec curl -sS -w '\n%{http_code}\n' -X POST "http://$1:$2/mcp/context"

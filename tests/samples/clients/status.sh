#!/bin/sh
# Asks what the server says about itself: status.sh HOST PORT
exec curl -sS -w '\n%{http_code}\n' -X GET "http://$1:$2/api/mcp/status"

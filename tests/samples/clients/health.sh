#!/bin/sh
# Asks for the health of the server: health.sh HOST PORT
exec curl -sS -w '\n%{http_code}\n' "http://$1:$2/health"

#!/bin/sh
# The same with wget: wget_health.sh HOST PORT
exec wget -q -O - "http://$1:$2/health"

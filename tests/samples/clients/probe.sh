#!/bin/sh
# Asks with netcat whether somebody listens, without sending a byte: probe.sh HOST PORT
exec nc -vz "$1" "$2"

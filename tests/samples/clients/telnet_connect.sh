#!/bin/sh
# Connects with telnet and sends nothing, as one does to see whether a port is open.
sleep 1 | telnet "$1" "$2"

#!/bin/sh
# Types an HTTP request by hand into telnet: telnet_http.sh HOST PORT
{
    printf 'GET / HTTP/1.1\nHost: localhost\n\n'
    sleep 1
} | telnet "$1" "$2"

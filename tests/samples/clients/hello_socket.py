"""Greets the server over a bare socket and reads once: hello_socket.py HOST PORT."""

import socket
import sys


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.settimeout(5)
            stream.connect((host, port))
            stream.sendall(b"MCP_HELLO_REQUEST: SESSION_ID=789\n")
            print("Received from MCP server:", stream.recv(1024).decode("utf-8"))
    except ConnectionRefusedError:
        print(f"Error: Connection refused. Is a service running on {host}:{port}?")


if __name__ == "__main__":
    main()

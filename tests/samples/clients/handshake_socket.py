"""Sends the bytes of the handshake and reads once: handshake_socket.py HOST PORT."""

import socket
import sys

HANDSHAKE = b"MCP/1.0\r\nConnection: Upgrade\r\n\r\n"


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.settimeout(5)
            stream.connect((host, port))
            stream.sendall(HANDSHAKE)
            data = stream.recv(1024)
        if data:
            print(f"Received raw data from server: {data}")
        else:
            print("No data received from server after handshake.")
    except socket.timeout:
        print(f"Connection to {host}:{port} timed out. Is the service running?")
    except ConnectionRefusedError:
        print(
            f"Connection refused by {host}:{port}. "
            "Is the Claude desktop service active and listening?"
        )


if __name__ == "__main__":
    main()

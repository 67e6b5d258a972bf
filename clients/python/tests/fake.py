"""Servers that say what a test wants, on a free port of the loopback, each in a thread."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

ACCEPTED = b"MCP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"


class Fake:
    """Listens on 127.0.0.1 and runs `script(peer)` for every connection."""

    def __init__(self, script):
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.problems = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(stream,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, stream):
        with stream:
            stream.settimeout(10)
            try:
                self._script(Peer(stream))
            except Exception as error:
                self.problems.append(error)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Wakes the accepting thread, which closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


class Peer:
    """The fake server's end of a connection."""

    def __init__(self, stream):
        self._stream = stream
        self._buffer = b""

    def until(self, mark):
        """Reads up to and with a mark."""
        while mark not in self._buffer:
            piece = self._stream.recv(4096)
            if not piece:
                raise EOFError(self._buffer)
            self._buffer += piece
        at = self._buffer.index(mark) + len(mark)
        found, self._buffer = self._buffer[:at], self._buffer[at:]
        return found

    def line(self):
        return self.until(b"\n")

    def send(self, data):
        self._stream.sendall(data)

    def shake_hands(self):
        """Reads the greeting and accepts it."""
        greeting = self.until(b"\r\n\r\n")
        self.send(ACCEPTED)
        return greeting

    def wait_for_end(self):
        """Returns when the caller has closed."""
        while self._stream.recv(4096):
            pass


class FakeHTTP:
    """An HTTP server whose answers come from `answer(request)`.

    `request` has `method`, `path`, `headers`, `body`, `peer`; the answer is
    `(status, headers, body)`, where the body is bytes, or a list of pieces that are sent as one
    chunk each (`None` cuts the connection).
    """

    def __init__(self, answer):
        self.requests = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def handle_any(self):
                length = int(self.headers.get("content-length", 0))
                request = SimpleNamespace(
                    method=self.command,
                    path=self.path,
                    headers=self.headers,
                    body=self.rfile.read(length),
                    peer=self.client_address[1],
                )
                requests.append(request)
                status, headers, body = answer(request)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if isinstance(body, bytes):
                    if "content-length" not in headers:
                        self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    if headers.get("connection") == "close":
                        self.close_connection = True
                else:
                    self.send_header("transfer-encoding", "chunked")
                    self.end_headers()
                    self._chunks(body)

            def _chunks(self, pieces):
                for piece in pieces:
                    if piece is None:
                        self.close_connection = True
                        return
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_CONNECT = handle_any

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        # Looks for the end often, so that tests do not wait for it.
        self._server.serve_forever(poll_interval=0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def closed_port():
    """A port of the loopback at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]

"""nmid's second generation, as little of it as a test needs to ask for a function without any SDK in between."""

import socket
import struct

CLIENT = 3
CANT_DO, DO_JOB = 4, 16
MSGPACK, ENCODE = 5, 10

# {"name": "probe", "probe": true}: the workers of these tests answer it without doing anything.
PROBE = b"\x82\xa4name\xa5probe\xa5probe\xc3"


def do_job(function, params=PROBE):
    name = function.encode()
    body = struct.pack(">3I", MSGPACK, ENCODE, len(name)) + name + struct.pack(">I", len(params)) + params
    return struct.pack(">3I", CLIENT, DO_JOB, len(body)) + body


def asked(port, function, patience=2.0):
    """The type of the answer to one probe on a connection of its own; None when there was none in time."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as peer:
        peer.sendall(do_job(function))
        header = b""
        while len(header) < 12:
            try:
                part = peer.recv(12 - len(header))
            except TimeoutError:
                return None
            if not part:
                raise AssertionError(f"the broker closed instead of answering a call of {function}")
            header += part
        return struct.unpack(">3I", header)[1]

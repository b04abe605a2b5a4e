"""One connection to the agent, in whatever protocol: what is sent, what has come, and how it ends."""

import socket

from house import PATIENCE


class Connection:
    """`place` is a TCP address or the path of a unix socket. Whoever inherits reads a frame with get()."""

    def __init__(self, place):
        self.unsent = 0                 # of a flood: how much of its block is out
        if isinstance(place, tuple):
            self.socket = socket.create_connection(place)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(place))
        self.socket.settimeout(PATIENCE)

    def raw(self, data):
        self.socket.sendall(data)

    def exactly(self, count):
        got = bytearray()
        while len(got) < count:
            part = self.socket.recv(count - len(got))
            if not part:
                raise EOFError(f"the agent closed after {len(got)} of {count} bytes")
            got += part
        return bytes(got)

    def is_closed(self):
        """Whether the agent ends this connection, whatever it says before."""
        try:
            while True:
                self.get()
        except (EOFError, ConnectionError):
            return True
        except TimeoutError:
            return False

    def flood(self, block, most):
        """Sends whole frames over and over without ever reading; how many bytes the agent took now, None once cut."""
        self.socket.setblocking(False)
        sent = 0
        try:
            while sent < most:
                count = self.socket.send(memoryview(block)[self.unsent:])
                self.unsent = (self.unsent + count) % len(block)
                sent += count
        except BlockingIOError:
            pass
        except ConnectionError:
            return None
        return sent

    def close(self):
        self.socket.close()

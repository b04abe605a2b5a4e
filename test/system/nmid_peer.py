"""nmid's peers byte by byte, as the tests need them: raw connections, a worker and callers that judge every answer.

Nothing here is taken from the code under test: the layouts are written down a second time.
"""

import re
import socket
import struct
import threading
import urllib.request

from connection import Connection
from house import PATIENCE, program

SERVER, WORKER, CLIENT, SERVICE = 1, 2, 3, 4
OK, ERROR, CANT_DO, JOB, RESULT, RATE_LIMIT, PONG = 1, 2, 4, 10, 11, 18, 23
WAKEUP, GRAB, ADD, DEL, RETURN, DO, PING, NAME = 8, 12, 13, 14, 15, 16, 22, 23
HEAD = struct.Struct(">III")


def words(*numbers):
    return struct.pack(f">{len(numbers)}I", *numbers)


def counted(text):
    return words(len(text)) + text


def frame(conn, kind, body=b"", length=None):
    return HEAD.pack(conn, kind, len(body) if length is None else length) + body


def request(function, params, second=True):
    """A DO_JOB of the current generation, or of the first."""
    return frame(CLIENT, DO, (words(5, 10) if second else b"") + counted(function) + counted(params))


def result(function, params, ret, ident=None):
    """A worker's result; without an id one of the first generation."""
    return frame(WORKER, RETURN, counted(function) + counted(params) + counted(ret)
                 + (b"" if ident is None else counted(ident)))


def text(value):
    """As msgpack writes it."""
    return bytes([0xA0 | len(value)]) + value if len(value) < 32 else b"\xda" + struct.pack(">H", len(value)) + value


def params(value, second=True):
    """One argument, in a form that survives every way to every worker."""
    return b"\x81\xa1t" + text(value) if second else b"\x91" + text(b"t:" + value)


def value_of(data):
    """The argument again, in whatever form it arrived."""
    found = re.fullmatch(rb"(?:\x81\xa1t|\x91)(?:[\xa0-\xbf]|\xd9.|\xda..)(?:t:)?(.*)", data, re.DOTALL)
    return found.group(1)


def ret(data, code=0):
    """A RetStruct as nmid's Go worker writes it."""
    return (b"\x83\xa4Code\xd3" + struct.pack(">q", code) + b"\xa3Msg\xa2ok\xa4Data\xc5"
            + struct.pack(">H", len(data)) + data)


class Broker:
    """An agent of a house that speaks nmid, with ports the kernel chose."""

    def __init__(self, house, settings=""):
        conf = house.folder / "agent.conf"
        conf.write_text("net_enable=false\nmax_threads=2\nnmid_enable=true\nnmid_port=0\nmetrics_enable=true\n"
                        "metrics_port=0\n" + settings)
        self.child = house.start([program("msf_agent"), "-c", conf], ready=True)
        self.greeting = self.child.stdout.readline()
        self.nmid = self.place("nmid")

    def place(self, protocol):
        found = re.search(rf"{protocol} ([0-9.]+):([0-9]+)", self.greeting)
        assert found, f"no {protocol} in {self.greeting!r}"
        return found.group(1), int(found.group(2))

    def counted(self, series, **labels):
        """The sum of a series' samples that have these labels."""
        host, port = self.place("metrics")
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=PATIENCE) as page:
            lines = page.read().decode().splitlines()
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        return sum(float(line.rpartition(" ")[2]) for line in lines
                   if re.match(rf"{series}[ {{]", line) and all(label in line for label in wanted))

    def memory(self):
        """Resident, in KiB."""
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as status:
            return int(status.read().partition("VmRSS:")[2].split()[0])


class Peer(Connection):
    """One connection."""

    def get(self):
        """(type, payload) of the next frame; EOFError at the end."""
        conn, kind, length = HEAD.unpack(self.exactly(HEAD.size))
        assert conn == SERVER, f"a frame of connection type {conn}"
        return kind, self.exactly(length)

    def job(self):
        """(function, params, id) of the next job of the current generation, past whatever else comes."""
        while True:
            kind, body = self.get()
            if kind == JOB:
                _, _, function, arguments, ident = struct.unpack_from(">5I", body)
                cuts = (20, 20 + function, 20 + function + arguments, 20 + function + arguments + ident)
                return tuple(body[start:end] for start, end in zip(cuts, cuts[1:]))

    def answer(self):
        """(type, function, params, ret) of the next frame to a client."""
        kind, body = self.get()
        if kind != RESULT:
            return kind, b"", b"", b""
        function, arguments, returned = struct.unpack_from(">III", body)
        assert len(body) == 12 + function + arguments + returned
        return kind, body[12:12 + function], body[12 + function:][:arguments], body[12 + function + arguments:]

    def register(self, *functions, name=b"tested"):
        """As the current Go worker does; the broker knows all of them on return."""
        self.raw(frame(WORKER, NAME, name) + b"".join(frame(WORKER, ADD, function) for function in functions))
        for _ in range(1 + len(functions)):
            assert self.get()[0] == OK

    def is_silent(self, seconds=0.1):
        """Whether nothing comes for a while."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)


class GoodTraffic:
    """A worker and callers of both generations, who go on until told to stop and have every answer right."""

    def __init__(self, place):
        self.place = place
        self.stop = threading.Event()
        self.calls = 0
        self.longest = 0.0
        self.troubles = []
        self.worker = Peer(place)
        self.worker.register(b"Good")
        self.threads = [threading.Thread(target=self.guarded, args=[work, *rest]) for work, *rest in
                        ((self.work,), (self.call, 1, True), (self.call, 2, True), (self.call, 3, False))]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads[1:]:
            thread.join()
        self.worker.socket.shutdown(socket.SHUT_RDWR)
        self.threads[0].join()
        self.worker.close()

    def guarded(self, work, *rest):
        try:
            work(*rest)
        except (EOFError, OSError) as error:
            if work != self.work or not self.stop.is_set():
                self.troubles.append(f"{work.__name__}{rest}: {error!r}")
        except AssertionError as error:
            self.troubles.append(f"{work.__name__}{rest}: {error}")

    def work(self):
        while True:
            function, arguments, ident = self.worker.job()
            self.worker.raw(result(function, arguments, ret(value_of(arguments)[::-1]), ident))

    def call(self, number, second):
        peer = Peer(self.place)
        seq = 0
        while not self.stop.is_set():
            seq += 1
            value = f"{number}-{seq}".encode() + b"x" * (seq % 90)
            arguments = params(value, second)
            peer.raw(request(b"Good", arguments, second))
            kind, function, echo, returned = peer.answer()
            assert (kind, function, echo) == (RESULT, b"Good", arguments), f"{kind} {function} {echo} for {arguments}"
            assert returned == ret(value[::-1]), f"{returned} for {arguments}"
            self.calls += 1
        peer.close()

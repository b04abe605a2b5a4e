"""The peer of the first generation, first.c, against a broker of a few lines: the vectors pass, each offence is named.

A referee that lets things pass would make every test of test_first.py worthless.
"""

import socket
import struct
import unittest

import peers
from scene import Program

PARAMS = b"\x91\xadname:niansong"
RET = b"\x93\x00\xa2OK\xa6add ok"
SERVER, WORKER = 1, 2
OK, GET_DATA, S_RETURN, RETURN_DATA = 1, 10, 11, 15


def frame(kind, body=b"", sender=SERVER):
    return struct.pack(">3I", sender, kind, len(body)) + body


def job(params, handle=b"ToUpper"):
    return frame(GET_DATA, struct.pack(">2I", len(handle), len(params)) + handle + params)


def result(ret, handle=b"PostInfo", params=PARAMS):
    return frame(S_RETURN, struct.pack(">3I", len(handle), len(params), len(ret)) + handle + params + ret)


def second_generation_job():
    body = struct.pack(">5I", 5, 10, 7, 11, 36) + b"ToUpper" + b"\x81\xa4name\xa4nmid" + b"0" * 36
    return frame(GET_DATA, body)


def exactly(peer, length):
    got = b""
    while len(got) < length:
        part = peer.recv(length - len(got))
        assert part, "the referee closed"
        got += part
    return got


def received(peer):
    sender, kind, length = struct.unpack(">3I", exactly(peer, 12))
    return sender, kind, exactly(peer, length)


class Referee(unittest.TestCase):
    def setUp(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.addCleanup(self.listener.close)

    def met(self, *words):
        """The program and the connection it makes."""
        port = self.listener.getsockname()[1]
        program = Program([peers.first(), words[0], port, *words[1:]], {})
        self.addCleanup(program.close)
        peer, _ = self.listener.accept()
        peer.settimeout(10)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(peer.close)
        return program, peer

    def client(self):
        program, peer = self.met("client", "PostInfo", "name:niansong")
        self.assertEqual(received(peer), (3, 16, b"\0\0\0\x08PostInfo\0\0\0\x0f" + PARAMS))       # V14
        return program, peer

    def worker(self):
        program, peer = self.met("worker", "ToUpper")
        self.assertEqual(received(peer), (WORKER, 13, b"ToUpper"))
        self.assertEqual(received(peer), (WORKER, 12, b"1"))                                      # V5
        peer.sendall(frame(OK))
        return program, peer

    def test_the_client_takes_the_vector(self):
        program, peer = self.client()
        peer.sendall(result(RET))                                                                 # V17
        self.assertEqual(program.says("add ok").said(), "return 0 OK add ok\n")

    def test_the_client_takes_an_answer_that_is_no_result(self):
        program, peer = self.client()
        peer.sendall(frame(4))
        program.says("type 4")

    def test_the_worker_takes_one_job_after_the_other(self):
        program, peer = self.worker()
        for name in (b"nmid", b"again"):
            params = b"\x91" + bytes([0xa5 + len(name)]) + b"name:" + name
            peer.sendall(job(params))
            ret = b"\x93\x00\xa2OK" + bytes([0xa0 + len(name)]) + name.upper()
            body = struct.pack(">I", 7) + b"ToUpper" + struct.pack(">I", len(params)) + params
            self.assertEqual(received(peer), (WORKER, RETURN_DATA, body + struct.pack(">I", len(ret)) + ret))
        self.assertTrue(program.alive())

    def test_the_worker_bears_a_late_ok(self):
        program, peer = self.worker()
        peer.sendall(job(b"\x91\xa6name:x") + frame(OK))
        self.assertEqual(received(peer)[1], RETURN_DATA)
        self.assertTrue(program.alive())

    def test_each_offence_against_the_client_is_named(self):
        good = result(RET)
        for offence, bytes_ in [
                ("bytes behind the answer", good + good),
                ("connection type 2", frame(4, sender=WORKER)),
                ("with a body of 1 bytes", frame(4, b"x")),
                ("another function", result(RET, handle=b"PostOther")),
                ("echo is not the params", result(RET, params=PARAMS[:-1] + b"G")),
                ("lengths 8, 15, 99", frame(S_RETURN, struct.pack(">3I", 8, 15, 99) + good[24:])),
                ("Ret is no RetStruct", result(b"\x01")),
                ("Ret is no RetStruct", result(b"\x92\x00\xa2OK")),
                ("msgpack ends too early", result(b"")),
                ("read as success", result(b"\x93\xff\xa2OK\xa0")),
                ("Msg is no string", result(b"\x93\x00\xc0\xa0")),
                ("Data of a array", result(b"\x93\x00\xa2OK\xc4\x01x")),
                ("Data of a map", result(b"\x83\xa4Code\x00\xa3Msg\xa2ok\xa4Data\xc0"))]:
            with self.subTest(offence=offence):
                program, peer = self.client()
                peer.sendall(bytes_)
                program.says(offence)

    def test_each_offence_against_the_worker_is_named(self):
        good = job(b"\x91\xa9name:nmid")
        for offence, bytes_ in [
                ("before the job was answered", good + good),
                ("before the job was answered", good + frame(23)),
                ("before the job was answered", job(b"\x91\xda\x05\xdcname:" + b"x" * 1495) + frame(OK)),
                ("another generation", second_generation_job()),
                ("not ours", job(b"\x91\xa9name:nmid", b"ToLower")),
                ("taken for a header", job(b"\x91\xa1:", b"T")),
                ("no array", job(b"\x81\xa4name\xa4nmid")),
                ("array of 0", job(b"\x90")),
                ("no string", job(b"\x91\x2a")),
                ("no array", job(b'{"name":"nmid"}')),
                ("without a colon", job(b"\x91\xa4name")),
                ("empty value", job(b"\x91\xa5name:")),
                ("second colon", job(b"\x91\xa8name:a:b")),
                ("comma", job(b"\x91\xa8name:a,b")),
                ("comma or a NUL", job(b"\x91\xa8name:a\0b")),
                ("behind the array", job(b"\x91\xa6name:a\xc0")),
                ("frame of type 5", frame(5))]:
            with self.subTest(offence=offence):
                program, peer = self.worker()
                peer.sendall(bytes_)
                program.says(offence)

    def test_frames_in_pieces_are_refused(self):
        for start, offence, cut in [(self.client, "header in pieces", 6), (self.client, "body in pieces", 12),
                                    (self.client, "body in pieces", 30), (self.worker, "body in pieces", 12)]:
            with self.subTest(offence=offence, cut=cut):
                program, peer = start()
                whole = result(RET) if start == self.client else job(b"\x91\xa9name:nmid")
                peer.sendall(whole[:cut])
                program.says(offence)

    def test_a_broker_that_closes_ends_both(self):
        for start in (self.client, self.worker):
            program, peer = start()
            peer.close()
            program.says("the broker closed")


if __name__ == "__main__":
    unittest.main()

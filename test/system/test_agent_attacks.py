"""msf_agent against peers that send rubbish, forge, flood, do not read, or die at the wrong moment.

The peers are raw sockets that speak librpc byte by byte; each test has an agent of its own with two reactors, so that
neighbouring connections live on different ones.
"""

import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from connection import Connection
from house import PATIENCE, House, listens, program, wait_for

AGENT = 0xFFFFFFF1
FOREVER = 0xFFFFFFFF
REQ, ACK, KALIVE = 1, 2, 4
LOGIN = 1
DENIED, OFFLINE, BUSY = 1, 2, 3
HEAD = struct.Struct("<12I8x")


def frame(src, dst, op=REQ, cmd=0x26, seq=1, err=0, body=b"", timeout=0, datalen=None):
    length = len(body) if datalen is None else datalen
    return HEAD.pack(0x100, 0x12345678, src, dst, op, cmd, seq, err, length, 0, 0, timeout) + body


def login(ident, seq=1, cmd=LOGIN):
    return frame(ident, AGENT, cmd=cmd, seq=seq, body=b"x".ljust(32, b"\0") + bytes(36))


class Frame:
    """A frame that has come in."""

    def __init__(self, head, body):
        _, _, self.src, self.dst, self.op, self.cmd, self.seq, self.err, _, _, _, self.timeout = HEAD.unpack(head)
        self.body = body


class Peer(Connection):
    """One connection to the agent, logged in if it is given an id."""

    def __init__(self, place, ident=None):
        super().__init__(place)
        self.ident = ident
        if ident is not None:
            self.raw(login(ident))
            answer = self.get()
            assert answer.err == 0, f"the login as {ident:#x} was answered with {answer.err}"

    def call(self, dst, **what):
        self.raw(frame(self.ident, dst, **what))

    def answer(self, request, body=b"", **what):
        given = {"op": ACK, "cmd": request.cmd, "seq": request.seq, "timeout": request.timeout, **what}
        self.raw(frame(self.ident, request.src, body=body, **given))

    def get(self):
        head = self.exactly(HEAD.size)
        return Frame(head, self.exactly(HEAD.unpack(head)[8]))


class Attack(unittest.TestCase):
    def setUp(self):
        self.house = House(self)
        self.place = self.house.run / "msf_agent.sock"
        self.settings = self.house.folder / "agent.conf"
        self.settings.write_text("net_enable=false\nmax_threads=2\n")
        self.peers = []
        self.addCleanup(lambda: [peer.close() for peer in self.peers])

    def agent(self, **options):
        self.child = self.house.start([program("msf_agent"), "-c", self.settings], ready=True, **options)
        return self.child

    def peer(self, ident=None, place=None):
        self.peers.append(Peer(place or self.place, ident))
        return self.peers[-1]

    def serves(self, caller, service, seq=4711):
        """One call there and back, past whatever is still on its way; seconds it took."""
        begun = time.monotonic()
        caller.call(service.ident, seq=seq, timeout=5000, body=b"ping")
        while (request := service.get()).seq != seq or request.body != b"ping":
            pass
        service.answer(request, b"pong")
        while (answer := caller.get()).seq != seq:
            pass
        self.assertEqual((answer.err, answer.body), (0, b"pong"))
        return time.monotonic() - begun

    def memory(self):
        """Resident, in KiB."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def ends_well(self):
        code, _, errors = self.house.end(self.child)
        self.assertEqual(code, 0, errors)
        self.assertFalse(self.place.exists())
        self.assertNotIn("panic", self.house.text("msf_agent.log"))


class Rubbish(Attack):
    def test_whatever_byte_of_a_header_is_wrong_the_others_are_served(self):
        self.agent()
        service, caller = self.peer(0x12), self.peer(0x11)
        for place in range(HEAD.size):
            for turn, flip in enumerate((0x01, 0x41, 0xFF)):
                ident = 0x900 + 3 * place + turn
                broken = bytearray(frame(ident, 0x12, seq=place, timeout=500, body=b"abcd"))
                broken[place] ^= flip
                stranger, member = Peer(self.place), Peer(self.place, ident)
                for peer in (stranger, member):
                    peer.raw(bytes(broken))
                # The agent reads what a peer said last, also when it has gone.
                member.close()
                stranger.close()
        self.serves(caller, service)
        self.ends_well()

    def test_frames_that_come_byte_by_byte_on_many_connections_are_frames(self):
        self.agent()
        peers = [self.peer() for _ in range(40)]
        talk = [login(0x100 + i) + frame(0x100 + i, 0x100 + i, seq=i, timeout=9000, body=b"me") for i in range(40)]
        for place in range(len(talk[0])):
            for peer, data in zip(peers, talk):
                peer.raw(data[place:place + 1])
            time.sleep(0.001)
        for index, peer in enumerate(peers):
            self.assertEqual(peer.get().err, 0)
            request = peer.get()
            self.assertEqual((request.op, request.seq, request.body), (REQ, index, b"me"))
        self.ends_well()

    def test_a_payload_at_the_limit_passes_and_one_above_it_is_refused_and_ends_the_connection(self):
        self.agent()
        service, caller = self.peer(0x12), self.peer(0x11)
        caller.call(0x12, seq=1, timeout=9000, body=bytes(1 << 20))
        request = service.get()
        self.assertEqual(len(request.body), 1 << 20)
        service.answer(request, request.body)
        self.assertEqual(len(caller.get().body), 1 << 20)
        for length in ((1 << 20) + 1, 0x7FFFFFFF, 0xFFFFFFFF):
            sinner = self.peer(0x200)
            sinner.call(0x12, seq=8, timeout=9, datalen=length)
            refused = sinner.get()
            self.assertEqual((refused.err, refused.seq), (BUSY, 8))
            self.assertTrue(sinner.is_closed())
        self.serves(caller, service)
        self.ends_well()

    def test_five_thousand_connections_with_garbage_leave_no_memory_and_no_descriptors_behind(self):
        self.agent()
        service, caller = self.peer(0x12), self.peer(0x11)

        def visit(count):
            for number in range(count):
                stranger = Peer(self.place)
                what = number % 4
                try:
                    if what == 0:
                        stranger.raw(os.urandom(200))
                    elif what == 1:
                        stranger.raw(login(0x300)[:100])
                    elif what == 2:
                        stranger.raw(frame(0x11, 0x12, seq=number, timeout=9, body=b"forged"))
                    else:
                        stranger.raw(login(0x300 + number))
                except ConnectionError:
                    pass                # cut in the middle of it, which is right
                stranger.close()
            self.serves(caller, service)

        visit(1000)
        folder = f"/proc/{self.child.pid}/fd"
        before, usual = self.memory(), 14
        visit(4000)
        wait_for("the visitors' descriptors to be closed", lambda: len(os.listdir(folder)) < usual + 16)
        self.assertLess(self.memory() - before, 2048, "KiB more than before")
        self.ends_well()


class Forgery(Attack):
    def test_only_the_answer_that_was_asked_for_arrives_and_only_once(self):
        self.agent()
        service, caller, third = self.peer(0x12), self.peer(0x11), self.peer(0x13)
        for seq in range(2000):
            caller.call(0x12, op=ACK, seq=seq, timeout=1000)
        caller.call(0x12, cmd=9, seq=20, timeout=5000)
        request = service.get()
        self.assertEqual((request.op, request.seq), (REQ, 20), "answers to no question have arrived")
        service.answer(request, b"wrong command", cmd=8)
        service.answer(request, b"wrong number", seq=21)
        service.raw(frame(0x13, 0x11, op=ACK, cmd=9, seq=20, timeout=5000, body=b"wrong source"))
        third.call(0x11, op=ACK, cmd=9, seq=20, timeout=5000, body=b"not asked")
        third.raw(frame(0x12, 0x11, op=ACK, cmd=9, seq=20, timeout=5000, body=b"forged"))
        third.call(0xDEAD, seq=1, timeout=1000)
        self.assertEqual(third.get().err, OFFLINE)      # by now what it sent before has been dealt with
        service.answer(request, b"one", err=77)
        service.answer(request, b"two")
        answer = caller.get()
        self.assertEqual((answer.body, answer.err), (b"one", 77))
        caller.call(0xDEAD, seq=22, timeout=1000)
        self.assertEqual(caller.get().seq, 22, "the second answer has arrived")
        self.ends_well()


LOGIN_RACER = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
sys.stdin.readline()
peer.sendall(bytes.fromhex(sys.argv[2]))
answer = peer.recv(56)
print(answer[28] if len(answer) == 56 else "closed", flush=True)
sys.stdin.readline()
"""


class Identity(Attack):
    def test_of_twenty_processes_that_want_one_id_one_gets_it_and_when_it_dies_another_can(self):
        self.agent()
        command = [sys.executable, "-c", LOGIN_RACER, self.place, login(0x66).hex()]
        racers = [self.house.start(command, stdin=subprocess.PIPE) for _ in range(20)]
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        verdicts = [racer.stdout.readline().strip() for racer in racers]
        self.assertEqual(sorted(verdicts), ["0"] + [str(DENIED)] * 19)
        winner = racers[verdicts.index("0")]
        winner.kill()
        winner.wait()
        self.assertEqual(self.peer(0x66).ident, 0x66)
        for racer in racers:
            racer.stdin.close()

    def test_whoever_lives_keeps_its_id_though_the_agent_has_no_descriptor_left(self):
        self.agent(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)))
        service, caller, rival = self.peer(0x12), self.peer(0x11), self.peer()
        crowd = [self.peer() for _ in range(40)]
        wait_for("the last one to be turned away", crowd[-1].is_closed)
        self.serves(caller, service)
        rival.raw(login(0x12))
        self.assertEqual(rival.get().err, DENIED, "a living service has lost its id")
        self.serves(caller, service)
        for peer in crowd:
            peer.close()
        wait_for("room for one more", lambda: not self.is_turned_away())
        self.ends_well()

    def is_turned_away(self):
        stranger = self.peer()
        try:
            stranger.raw(frame(1, AGENT, op=KALIVE, seq=1))
            return stranger.get().seq != 1
        except (EOFError, ConnectionError):
            return True

    def test_the_connection_above_max_conns_is_closed_and_the_others_are_served(self):
        self.agent()
        service, caller = self.peer(0x12), self.peer(0x11)
        crowd = [self.peer() for _ in range(1022)]
        self.assertTrue(self.peer().is_closed())
        self.serves(caller, service)
        crowd.pop().close()
        wait_for("room for one more", lambda: not self.is_turned_away())


class Flood(Attack):
    def test_one_who_uses_the_same_number_for_all_calls_holds_nobody_up(self):
        self.settings.write_text(self.settings.read_text().replace("max_threads=2", "max_threads=1"))
        self.agent()
        service, caller = self.peer(0x12), self.peer(0x11)
        sinner, deaf = self.peer(0x13), self.peer(0x14)
        block = frame(0x13, deaf.ident, seq=7, timeout=FOREVER) * 1000
        sent, longest, end = 0, 0.0, time.monotonic() + 3.5
        while time.monotonic() < end:
            if sent < 60 * len(block):
                sent += sinner.flood(block, len(block)) or 0
            longest = max(longest, self.serves(caller, service))
        self.assertLess(longest, 0.5, "seconds a call of somebody else took")
        self.assertGreater(sent, 30 * len(block))

    def test_probes_whose_answers_nobody_reads_do_not_pass_the_memory_limit(self):
        self.agent()
        service, caller = self.peer(0x12), self.peer(0x11)
        before = self.memory()
        sinners = [self.peer(0x100 + i) for i in range(10)]
        blocks = {peer: frame(peer.ident, AGENT, op=KALIVE, cmd=0) * 2000 for peer in sinners}
        left = {peer: 14 << 20 for peer in sinners}
        end = time.monotonic() + 6
        while left and time.monotonic() < end:
            for peer in list(left):
                sent = peer.flood(blocks[peer], 1 << 20)
                left[peer] -= sent or 0
                if sent is None or left[peer] <= 0:
                    del left[peer]
        self.assertLess((self.memory() - before) >> 10, 96, "MiB, where memory_limit says 64")
        for peer in sinners:
            peer.close()
        wait_for("them to be gone", lambda: self.memory() - before < 16 << 10)
        self.serves(caller, service)

    def test_frames_of_one_source_keep_their_order_between_reactors(self):
        self.agent()
        caller, near, far = self.peer(0x11), self.peer(0x12), self.peer(0x13)
        count, seen = 4000, {}

        def listen(service):
            seen[service.ident] = [service.get().seq for _ in range(count)]

        threads = [threading.Thread(target=listen, args=[service]) for service in (near, far)]
        for thread in threads:
            thread.start()
        for seq in range(count):
            for service in (near, far):
                caller.call(service.ident, seq=seq, body=bytes(seq * 37 % 300))
        for thread in threads:
            thread.join()
        for order in seen.values():
            self.assertEqual(order, list(range(count)))


class Signals(Attack):
    def test_a_storm_of_reloads_holds_no_call_up(self):
        self.agent()
        service, caller = self.peer(0x12), self.peer(0x11)
        calm = threading.Event()

        def storm():
            while not calm.is_set():
                self.child.send_signal(signal.SIGHUP)
                time.sleep(0.0005)

        thread = threading.Thread(target=storm)
        thread.start()
        try:
            longest = max(self.serves(caller, service, seq) for seq in range(300))
        finally:
            calm.set()
            thread.join()
        self.assertLess(longest, 0.5)
        self.ends_well()

    def test_at_the_end_an_answer_still_arrives_and_who_gets_none_is_told(self):
        self.settings.write_text(self.settings.read_text() + "drain_ms=700\n")
        self.agent()
        service, caller = self.peer(0x12), self.peer(0x11)
        for seq, patience in ((1, 60_000), (2, FOREVER), (3, 60_000)):
            caller.call(0x12, seq=seq, timeout=patience)
        requests = [service.get() for _ in range(3)]
        self.child.send_signal(signal.SIGTERM)
        wait_for("the socket to go", lambda: not self.place.exists())
        service.answer(requests[0], b"in time")
        answers = [caller.get() for _ in range(3)]
        self.assertEqual((answers[0].seq, answers[0].body), (1, b"in time"))
        self.assertEqual(sorted((answer.seq, answer.err) for answer in answers[1:]), [(2, OFFLINE), (3, OFFLINE)])
        self.assertEqual(self.child.wait(PATIENCE), 0)
        self.assertEqual(list(self.house.run.iterdir()), [])


    def test_regress_signals_that_the_starter_blocked_arrive(self):
        self.agent(preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP}))
        self.ends_well()

    def test_regress_a_stale_ready_number_takes_nothing_from_the_agent(self):
        for number in range(3, 16):
            with self.subTest(number):
                child = self.house.start([program("msf_agent"), "-c", self.settings],
                                         env={**self.house.env, "MSF_READY_FD": str(number)})
                wait_for("the agent", lambda: listens(self.place))
                self.serves(self.peer(0x12), self.peer(0x11))
                code, _, errors = self.house.end(child)
                self.assertEqual(code, 0, errors)
                self.assertIn(f"MSF_READY_FD={number}", errors)


class Places(Attack):
    """Where MSF_AGENT_SOCK may point."""

    def refused(self, place, *words):
        self.house.env["MSF_AGENT_SOCK"] = str(place)
        done = self.house.call([program("msf_agent"), "-c", self.settings])
        self.assertEqual(done.returncode, 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_a_place_that_cannot_be_is_named_and_what_is_there_stays(self):
        folder = self.house.folder
        plain, target, link, directory = folder / "plain", folder / "target", folder / "link", folder / "directory"
        plain.write_text("precious")
        target.write_text("precious")
        link.symlink_to(target)
        directory.mkdir()
        for place in (plain, link, directory):
            self.refused(place, str(place), "not a socket")
        self.refused(folder / "missing" / "sock", "missing/sock")
        self.refused(folder / ("x" * 120), "x" * 120)
        self.assertEqual((plain.read_text(), target.read_text()), ("precious", "precious"))
        self.assertTrue(link.is_symlink() and directory.is_dir())
        self.assertEqual(list(self.house.run.iterdir()), [])

    def test_what_somebody_else_put_in_its_place_is_not_removed_at_the_end(self):
        self.agent()
        self.place.unlink()
        self.place.write_text("somebody else's")
        code, _, errors = self.house.end(self.child)
        self.assertEqual((code, self.place.read_text()), (0, "somebody else's"), errors)

    def test_a_living_agents_socket_is_not_taken_by_one_with_another_run_directory(self):
        self.agent()
        other = self.house.folder / "other"
        other.mkdir(mode=0o700)
        self.house.env["MSF_RUN_DIR"] = str(other)
        self.refused(self.place, "somebody listens there")
        self.serves(self.peer(0x11), self.peer(0x12))

    def test_the_port_on_all_addresses_is_served_and_warned_of(self):
        self.settings.write_text("max_threads=2\nnode_ip=0.0.0.0\ntcp_port=0\n")
        self.agent()
        log = self.house.text("msf_agent.log")
        self.assertIn("not authenticated", log)
        port = int(log.partition("TCP 0.0.0.0:")[2].partition(":")[0].split(",")[0].split("[")[0])
        self.serves(self.peer(0x11, ("127.0.0.1", port)), self.peer(0x12))


class Configuration(Attack):
    def test_every_broken_line_is_refused_with_file_and_key(self):
        broken = ("unix_mask=0888", "unix_mask=9", "tcp_port=65536", "tcp_port=-1", "max_conns=0", "max_threads=65",
                  "payload_limit=1T", "payload_limit=", "outbox_hard=5K", "memory_limit=1", "node_ip=300.0.0.1",
                  "daemon=perhaps", "auth_chap=true", "drain_ms=1.5", "allow_uids=root", "log_files=100", "cpu_affinity=x")
        for line in broken:
            self.settings.write_text(line + "\n")
            done = self.house.call([program("msf_agent"), "-c", self.settings, "-k", "parse"])
            if line.endswith("="):
                self.assertEqual(done.returncode, 0, done.stderr)
                continue
            self.assertEqual(done.returncode, 1, line)
            self.assertIn("agent.conf", done.stderr)
            self.assertIn(line.partition("=")[0], done.stderr)


if __name__ == "__main__":
    unittest.main()

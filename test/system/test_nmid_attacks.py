"""msf_agent's nmid against peers that send rubbish, lie about lengths, flood, dawdle, or do not read.

Each test has an agent of its own with two reactors, and most of them good traffic beside the bad: callers and a worker
that go on all the time and must have every answer right.
"""

import random
import signal
import socket
import threading
import time
import unittest

from house import House, wait_for
from nmid_peer import (ADD, CANT_DO, CLIENT, DEL, DO, ERROR, GRAB, JOB, NAME, OK, PING, PONG, RATE_LIMIT, RESULT, RETURN,
                       SERVICE, WAKEUP, WORKER, Broker, GoodTraffic, Peer, counted, frame, params, request, result,
                       ret, words)

MALFORMED = "msf_agent_malformed_total"
MOST_FUNCTIONS = 4096               # of one worker
KIB = 1024


class Attack(unittest.TestCase):
    def start(self, settings=""):
        self.house = House(self)
        self.broker = Broker(self.house, settings)
        self.peers = []
        self.addCleanup(lambda: [peer.close() for peer in self.peers])

    def peer(self):
        self.peers.append(Peer(self.broker.nmid))
        return self.peers[-1]

    def good(self):
        return GoodTraffic(self.broker.nmid)

    def served_well(self, good, calls=20):
        """The good traffic had no trouble, and goes on."""
        before = good.calls
        wait_for("the good traffic to go on", lambda: good.troubles or good.calls >= before + calls)
        self.assertEqual(good.troubles, [])

    def refused(self, reason):
        return self.broker.counted(MALFORMED, protocol="nmid", reason=reason)

    def ends_well(self):
        for peer in self.peers:
            peer.close()
        code, _, errors = self.house.end(self.broker.child)
        self.assertEqual(code, 0, errors)
        self.assertNotIn("panic", self.house.text("msf_agent.log"))


def broken_bodies(dice, whole):
    """Endless variations of a payload that ends with a counted `payload`: no lengths add up, in either generation."""
    while True:
        body = bytearray(whole)
        what = dice.randrange(4)
        if what == 0:
            del body[-dice.randrange(1, 11):]
        elif what == 1:
            body += b"\xff" * dice.randrange(1, 9)
        elif what == 2:
            body[-len(b"payload") - 4:-len(b"payload")] = words(dice.choice((0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 9)))
        else:
            body[:] = dice.randbytes(dice.randrange(1, 40))
            body[0] = 0xEE
        yield bytes(body)


class Rubbish(Attack):
    COUNT, CONNECTIONS = 10_000, 50

    def flood_of_broken(self, conn, kind, whole, answered):
        """COUNT broken frames over CONNECTIONS, good traffic beside them; every one refused and counted, no growth."""
        self.start()
        dice = random.Random(7)
        bodies = broken_bodies(dice, whole)
        with self.good() as good:
            self.served_well(good)
            peers = [self.peer() for _ in range(self.CONNECTIONS)]
            warm = 0
            for turn in range(self.COUNT // self.CONNECTIONS):
                for peer in peers:
                    peer.raw(frame(conn, kind, next(bodies)))
                if answered:
                    for peer in peers:
                        self.assertEqual(peer.get(), (ERROR, b""))
                if turn == 20:
                    warm = self.broker.memory()
            wait_for("all of them to be counted", lambda: self.refused("lengths") == self.COUNT)
            self.served_well(good)
            self.assertLess(self.broker.memory() - warm, 2 * KIB, "KiB more than after the first thousand")
        self.ends_well()

    def test_ten_thousand_broken_requests_of_this_generation_are_each_answered_with_an_error(self):
        self.flood_of_broken(CLIENT, DO, words(5, 10) + counted(b"Good") + counted(b"payload"), answered=True)

    def test_ten_thousand_broken_requests_of_the_first_generation_are_each_answered_with_an_error(self):
        self.flood_of_broken(CLIENT, DO, counted(b"Good") + counted(b"payload"), answered=True)

    def test_ten_thousand_broken_results_of_this_generation_are_counted_and_dropped(self):
        whole = counted(b"Good") + counted(b"params") + counted(b"ret") + counted(b"payload")
        self.flood_of_broken(WORKER, RETURN, whole, answered=False)

    def test_ten_thousand_broken_results_of_the_first_generation_are_counted_and_dropped(self):
        self.flood_of_broken(WORKER, RETURN, counted(b"Good") + counted(b"params") + counted(b"payload"), answered=False)

    def test_a_stream_that_is_not_nmid_ends_its_connection_and_is_counted(self):
        self.start()
        with self.good() as good:
            for first in (0, 5, 0x00474554, 0xFFFFFFFF):
                for rest in (b"", bytes(8), b"x" * 400):
                    stranger = self.peer()
                    stranger.raw(words(first) + rest)
                    self.assertTrue(stranger.is_closed())
            wait_for("all of them to be counted", lambda: self.refused("preamble") == 12)
            self.served_well(good)
        self.ends_well()

    def test_an_announced_length_over_the_limit_is_refused_before_anything_is_buffered(self):
        self.start("nmid_payload_limit=1M\n")
        with self.good() as good:
            self.served_well(good)
            before = self.broker.memory()
            for conn, kind in ((CLIENT, DO), (WORKER, RETURN), (WORKER, ADD), (SERVICE, 19)):
                for length in ((1 << 20) + 1, 0x7FFFFFFF, 0xFFFFFFFF):
                    sinner = self.peer()
                    sinner.raw(frame(conn, kind, b"abc", length=length))
                    if conn == CLIENT:
                        self.assertEqual(sinner.get(), (ERROR, b""))
                    self.assertTrue(sinner.is_closed())
            wait_for("all of them to be counted", lambda: self.refused("oversized") == 12)
            self.assertLess(self.broker.memory() - before, KIB)
            self.served_well(good)
        self.ends_well()

    def test_types_that_nobody_knows_are_passed_over(self):
        self.start()
        client, worker = self.peer(), self.peer()
        worker.register(b"Known")
        for kind in (0, 3, 6, 9, 17, 19, 20, 99, 0xFFFFFFFF):
            client.raw(frame(CLIENT, kind, b"body"))
            worker.raw(frame(WORKER, kind, b"body"))
        client.raw(request(b"Known", params(b"v")))
        function, arguments, ident = worker.job()
        worker.raw(result(function, arguments, ret(b"r"), ident))
        self.assertEqual(client.answer(), (RESULT, b"Known", params(b"v"), ret(b"r")))
        self.ends_well()

    def test_a_request_without_function_or_without_params_is_answered_with_an_error(self):
        self.start()
        client = self.peer()
        for second in (True, False):
            for bad in (request(b"", params(b"v"), second), request(b"F", b"", second), request(b"", b"", second)):
                client.raw(bad)
                self.assertEqual(client.get(), (ERROR, b""))
        client.raw(frame(CLIENT, DO))
        self.assertEqual(client.get(), (ERROR, b""))
        client.raw(request(b"Nobody has it", params(b"v")))
        self.assertEqual(client.get(), (CANT_DO, b""))
        self.ends_well()


class Dawdlers(Attack):
    def test_who_sends_a_byte_at_a_time_is_served_and_holds_nobody_up(self):
        self.start()
        with self.good() as good:
            talk = request(b"Good", params(b"slow"))
            peers = [self.peer() for _ in range(30)]
            for place in range(len(talk)):
                for peer in peers:
                    peer.raw(talk[place:place + 1])
                time.sleep(0.1)         # the attack is slowness
            for peer in peers:
                self.assertEqual(peer.answer(), (RESULT, b"Good", params(b"slow"), ret(b"wols")))
            self.served_well(good)
        self.ends_well()

    def test_regress_a_deadline_passes_in_time_also_when_nothing_else_happens(self):
        self.start("function.Long.deadline_ms=700\nfunction.Short.deadline_ms=200\n")
        deaf = [self.peer() for _ in range(2)]
        for worker, name in zip(deaf, (b"Long", b"Short")):
            worker.register(name, name=name)
        waits = {b"Long": 0.7, b"Short": 0.2}
        for names in ((b"Long", b"Short", b"Short"), (b"Short", b"Long"), (b"Long",), (b"Short",)):
            begun = time.monotonic()
            asked = [(name, self.peer()) for name in names]
            for name, client in asked:
                client.raw(request(name, params(b"v")))
            for name, client in sorted(asked, key=lambda each: waits[each[0]]):
                self.assertEqual(client.get(), (ERROR, b""))
                late = time.monotonic() - begun - waits[name]
                self.assertTrue(-0.01 < late < 0.3, f"{name} ended {late:.3f} s after its deadline")
        self.ends_well()

    def test_half_frames_and_a_sudden_end_leave_no_memory_behind(self):
        self.start()
        frames = (request(b"Good", params(b"v" * 3000)), result(b"Good", b"p", ret(b"r"), b"0" * 16),
                  frame(WORKER, ADD, b"Half a name"), frame(CLIENT, DO, b"", length=1 << 20))
        with self.good() as good:
            self.served_well(good)

            def visit(count):
                for number in range(count):
                    whole = frames[number % len(frames)]
                    stranger = Peer(self.broker.nmid)
                    stranger.raw(whole[:1 + number * 7 % (len(whole) - 1)])
                    if number % 2:
                        # An end with a reset.
                        stranger.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    stranger.close()

            visit(1000)
            before = self.broker.memory()
            visit(3000)
            self.served_well(good)
            wait_for("the visitors to be gone", lambda: self.broker.counted("msf_agent_sessions") < 20)
            self.assertLess(self.broker.memory() - before, 2 * KIB, "KiB more than after the first thousand")
        self.ends_well()


class Crowds(Attack):
    def test_connections_above_max_conns_are_closed_and_the_others_are_served(self):
        self.start("max_conns=200\n")
        with self.good() as good:
            self.served_well(good)
            crowd = [self.peer() for _ in range(400)]
            wait_for("the last one to be turned away", crowd[-1].is_closed)
            self.served_well(good)
            for peer in crowd:
                peer.close()
            wait_for("room for one more", self.is_served)
            self.served_well(good)
        self.ends_well()

    def is_served(self):
        try:
            stranger = self.peer()
            stranger.raw(request(b"Good", params(b"again")))
            return stranger.answer()[0] == RESULT
        except (EOFError, ConnectionError):
            return False

    def test_thousands_of_functions_of_one_worker_are_known_and_go_with_it_and_more_are_refused(self):
        self.start()
        names = [b"Function%d" % number for number in range(MOST_FUNCTIONS)]
        with self.good() as good:
            sizes = []
            for _ in range(4):
                worker = self.peer()
                worker.register(*names)
                client = self.peer()
                client.raw(request(names[-1], params(b"v")))
                self.assertEqual(worker.job()[0], names[-1])
                # One more is one too many, and the end of a worker is the end of its jobs.
                worker.raw(frame(WORKER, ADD, b"One more"))
                self.assertTrue(worker.is_closed())
                self.assertEqual(client.get(), (ERROR, b""))
                wait_for("the functions to be gone", lambda: self.asked(client, names[0]) == CANT_DO)
                sizes.append(self.broker.memory())
                self.served_well(good)
            self.assertEqual(self.refused("name"), 4)
            self.assertLess(sizes[-1] - sizes[1], 4 * KIB, f"KiB more with each visit: {sizes}")
        self.ends_well()

    def asked(self, client, function):
        client.raw(request(function, params(b"v")))
        return client.get()[0]

    def test_a_name_of_a_megabyte_is_refused_and_costs_no_memory(self):
        self.start()
        with self.good() as good:
            self.served_well(good)
            for visit in range(30):
                if visit == 10:
                    before = self.broker.memory()
                worker = self.peer()
                worker.raw(frame(WORKER, NAME if visit % 2 else ADD, b"n" * (1 << 20)))
                self.assertTrue(worker.is_closed())
                worker.close()
            self.served_well(good)
            self.assertEqual(self.refused("name"), 30)
            self.assertLess(self.broker.memory() - before, 4 * KIB)
        self.ends_well()

    def test_functions_that_are_withdrawn_at_once_leave_no_memory_behind(self):
        self.start()
        worker = self.peer()
        worker.register(b"Stays")

        def visit(number):
            names = [b"Passing%d" % each for each in range(1000 * number, 1000 * number + 1000)]
            worker.raw(b"".join(frame(WORKER, ADD, name) + frame(WORKER, DEL, name) for name in names))
            for _ in names:
                self.assertEqual(worker.get(), (OK, b""))

        for number in range(5):
            visit(number)
        before = self.broker.memory()
        for number in range(5, 30):
            visit(number)
        self.assertLess(self.broker.memory() - before, KIB, "KiB more than after the first five thousand")
        self.ends_well()

    def test_functions_that_come_and_go_all_the_time_disturb_nobody(self):
        self.start()
        with self.good() as good:
            workers = [self.peer() for _ in range(4)]
            for _ in range(1000):
                for worker in workers:
                    worker.raw(frame(WORKER, ADD, b"Come") + frame(WORKER, DEL, b"Come") + frame(WORKER, DEL, b"Never"))
            for worker in workers:
                for _ in range(1000):
                    self.assertEqual(worker.get(), (OK, b""))
            client = self.peer()
            self.assertEqual(self.asked(client, b"Come"), CANT_DO)
            self.served_well(good)
        self.ends_well()


class Forgery(Attack):
    def test_only_the_result_that_was_asked_for_arrives_and_only_once(self):
        self.start()
        client, worker, other = self.peer(), self.peer(), self.peer()
        worker.register(b"Asked")
        other.register(b"Else", name=b"other")
        client.raw(request(b"Asked", params(b"v")))
        function, arguments, ident = worker.job()
        forged = result(function, arguments, ret(b"forged"), ident)
        other.raw(forged)                                       # another worker's, with the right id
        for strange in (b"", b"0", b"f" * 16, b"0" * 16, ident[:-1], ident + b"0", ident.upper() + b" ", b"\xff" * 36):
            other.raw(result(function, arguments, ret(b"forged"), strange))
        other.raw(frame(WORKER, PING, b"PING"))
        while other.get()[0] != PONG:                           # by now what it sent before has been dealt with
            pass
        self.assertTrue(client.is_silent())
        worker.raw(result(function, arguments, ret(b"one"), ident) + result(function, arguments, ret(b"two"), ident))
        self.assertEqual(client.answer(), (RESULT, b"Asked", params(b"v"), ret(b"one")))
        self.assertTrue(client.is_silent())
        client.raw(request(b"Asked", params(b"w")))
        self.answers_the_next(worker, client, b"w")
        self.ends_well()

    def answers_the_next(self, worker, client, value):
        function, arguments, ident = worker.job()
        self.assertEqual(arguments, params(value))
        worker.raw(result(function, arguments, ret(value), ident))
        self.assertEqual(client.answer(), (RESULT, b"Asked", params(value), ret(value)))

    def test_a_client_cannot_answer_as_a_worker(self):
        self.start()
        client, worker, sinner = self.peer(), self.peer(), self.peer()
        worker.register(b"Asked")
        sinner.raw(request(b"Nobody", params(b"v")))
        self.assertEqual(sinner.get()[0], CANT_DO)
        client.raw(request(b"Asked", params(b"v")))
        function, arguments, ident = worker.job()
        for conn in (CLIENT, WORKER):
            sinner.raw(frame(conn, RETURN, result(function, arguments, ret(b"forged"), ident)[12:]))
        sinner.is_closed()                                      # or not: both are refusals
        self.assertTrue(client.is_silent())
        worker.raw(result(function, arguments, ret(b"v"), ident))
        self.assertEqual(client.answer(), (RESULT, b"Asked", params(b"v"), ret(b"v")))
        self.ends_well()

    def test_who_changes_its_role_is_refused_and_counted(self):
        self.start()
        worker, client = self.peer(), self.peer()
        worker.register(b"Asked")
        worker.raw(request(b"Asked", params(b"v")))
        self.assertTrue(worker.is_closed())
        client.raw(request(b"Nobody", params(b"v")))
        self.assertEqual(client.get()[0], CANT_DO)
        client.raw(frame(WORKER, ADD, b"Asked"))
        self.assertTrue(client.is_closed())
        wait_for("both to be counted", lambda: self.refused("role") == 2)
        self.ends_well()


class Floods(Attack):
    ALONE = "in company a caller beside a flood was once told RATE_LIMIT; it is not known why"

    def test_a_flood_of_pings_is_answered_and_holds_nobody_up(self):
        self.start()
        with self.good() as good:
            worker = self.peer()
            worker.register(b"Other")
            for _ in range(20):
                worker.raw(frame(WORKER, PING, b"PING") * 1000)
                for _ in range(1000):
                    self.assertEqual(worker.get(), (PONG, b""))
            worker.raw((frame(WORKER, GRAB) + frame(WORKER, WAKEUP)) * 5000)
            worker.raw(frame(WORKER, PING))
            self.assertEqual(worker.get(), (PONG, b""), "a GRAB_JOB or WAKEUP was answered")
            self.served_well(good)
        self.ends_well()

    def test_a_worker_that_never_reads_its_pongs_is_cut_or_held_within_the_memory_limit(self):
        self.start("memory_limit=64M\n")
        with self.good() as good:
            self.served_well(good)
            before = self.broker.memory()
            sinners = [self.peer() for _ in range(8)]
            block = frame(WORKER, PING, b"PING") * 2000
            end = time.monotonic() + 3
            while sinners and time.monotonic() < end:
                sinners = [peer for peer in sinners if peer.flood(block, 1 << 20) is not None]
            self.assertLess((self.broker.memory() - before) // KIB, 96, "MiB, where memory_limit says 64")
            self.served_well(good)
        self.ends_well()

    def test_a_worker_that_takes_jobs_and_never_reads_costs_its_callers_a_deadline_each_and_nobody_else(self):
        self.start("function.Deaf.deadline_ms=300\nfunction.Deaf.queue_limit=4\n")
        with self.good() as good:
            worker = self.peer()
            worker.register(b"Deaf")
            clients = [self.peer() for _ in range(20)]
            for client in clients:
                client.raw(request(b"Deaf", params(b"x" * 60_000)))
            told = [client.get()[0] for client in clients]
            # One is with the worker, four wait: all of them until their deadline. More than that is too much.
            self.assertEqual((told.count(ERROR), told.count(RATE_LIMIT)), (5, 15))
            self.served_well(good)
        self.ends_well()

    def test_a_client_that_never_reads_holds_up_itself_only(self):
        self.start("nmid_order=ordered\nmemory_limit=64M\n")
        with self.good() as good:
            self.served_well(good)
            before = self.broker.memory()
            sinners = [self.peer() for _ in range(6)]
            block = request(b"Nobody", params(b"x" * 60_000)) + request(b"Good", params(b"y" * 60_000))
            end = time.monotonic() + 3
            while sinners and time.monotonic() < end:
                sinners = [peer for peer in sinners if peer.flood(block, 1 << 20) is not None]
                time.sleep(0.01)
            self.assertLess((self.broker.memory() - before) // KIB, 96, "MiB, where memory_limit says 64")
            self.served_well(good)
            for peer in self.peers:
                peer.close()
            self.served_well(good)
        self.ends_well()

    def test_regress_requests_beyond_those_that_are_listened_to_are_all_answered(self):
        self.start("nmid_order=pipelined\n")
        with self.good():
            client, count = self.peer(), 3000
            requests = b"".join(request(b"Good", params(b"%d" % number)) for number in range(count))
            sender = threading.Thread(target=client.raw, args=[requests])
            sender.start()
            for number in range(count):
                self.assertEqual(client.answer()[2:], (params(b"%d" % number), ret((b"%d" % number)[::-1])))
            sender.join()
        self.ends_well()

    def test_callers_that_come_and_ask_and_go_leave_nothing_behind(self):
        self.start()
        with self.good() as good:
            for _ in range(1500):
                stranger = Peer(self.broker.nmid)
                stranger.raw(request(b"Good", params(b"left before the answer")))
                stranger.close()
            self.served_well(good)
            wait_for("their jobs to be done", lambda: self.broker.counted("msf_agent_function_queue_depth") <= 3)
            wait_for("them to be gone", lambda: self.broker.counted("msf_agent_sessions") < 20)
        self.ends_well()


class Signals(Attack):
    def test_a_storm_of_reloads_changes_no_answer(self):
        self.start()
        with self.good() as good:
            for _ in range(300):
                self.broker.child.send_signal(signal.SIGHUP)
                time.sleep(0.002)
            self.served_well(good)
        self.ends_well()


if __name__ == "__main__":
    unittest.main()

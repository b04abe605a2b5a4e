"""Workers and clients of the published Go SDK, at the oldest and the newest version, in every combination.

The clients wait 5 s for an answer (60 kB take longer: they parse in quadratic time); the SDK's own 30 ms are tried in
test_manual.py.
"""

import hashlib
import signal
import unittest

import peers
from scene import Program, Scene

PAIRS = [(worker, client) for worker in peers.VERSIONS for client in peers.VERSIONS]
DEADLINE = 0.5                      # seconds, of the function that fails
STARVED = 5                         # runs on a machine too busy to judge by


class GoPeers(Scene):
    LONG = True
    settings = f"function.Fail.deadline_ms = {int(DEADLINE * 1000)}\n"

    def test_every_client_reaches_every_worker(self):
        for worker, client in PAIRS:
            with self.subTest(worker=worker, client=client):
                program = self.go_worker(worker)
                self.assert_upper(self.go_calls(client, label="plain", calls=20), 20)
                self.assert_upper(self.go_calls(client, label="json", calls=20, json=True), 20)
                program.kill()

    def test_eight_clients_at_once_get_their_own_answers(self):
        for version in peers.VERSIONS:
            self.go_worker(version, name=f"of-{version}")
        for version in peers.VERSIONS:
            with self.subTest(client=version):
                self.assert_upper(self.go_calls(version, label="eight", connections=8, calls=50), 400)

    def test_several_workers_share_the_work(self):
        names = ["one", "two", "three", "four"]
        for name, version in zip(names, peers.VERSIONS * 2):
            self.go_worker(version, "Who", name)
        calls = self.go_calls(peers.NEW, "Who", connections=4, calls=50)
        self.assertEqual({call["Outcome"] for call in calls}, {"return"})
        self.assertEqual({call["Data"] for call in calls}, set(names))

    def test_params_and_their_echo_are_untouched(self):
        self.go_worker(peers.NEW, "Params")
        trace = '{"name":"nmid","sw8":"1-dHJhY2Ux-c2VnMQ==-0-V29ya2VyMg==-aW5zdDE=-VG9VcHBlcjI=-MTI3LjAuMC4xOjY4MDg=",' \
                '"sw8-correlation":"","unknown":[1,2.5,null,{"deep":true}]}'
        for client in peers.VERSIONS:
            for form in ({}, {"json": True}):
                with self.subTest(client=client, **form):
                    call = self.go_call(client, "Params", params=trace, **form)
                    self.assertEqual((call["Outcome"], call["Data"]), ("return", call["Sent"]))
                    self.assertEqual(call["Echo"], "same")

    def test_large_params_arrive_whole(self):
        for worker, client, size in [(peers.OLD, peers.NEW, 60000), (peers.NEW, peers.OLD, 20000)]:
            with self.subTest(worker=worker, client=client, size=size):
                program = self.go_worker(worker, "Digest")
                call = self.go_call(client, "Digest", size=size, patience="60s")
                digest = hashlib.sha256(call["Name"].encode()).hexdigest()
                self.assertEqual((call["Outcome"], call["Data"]), ("return", f"{size} {digest}"))
                self.assertIn(call["Echo"], ("same", "empty"))
                program.kill()

    def test_a_code_that_is_not_zero_comes_through(self):
        self.go_worker(peers.NEW, "Refuse,Minus")
        for client in peers.VERSIONS:
            refused, minus = self.go_call(client, "Refuse"), self.go_call(client, "Minus")
            self.assertEqual((refused["Outcome"], refused["Code"], refused["Msg"], refused["Data"]), ("return", 100, "bad", ""))
            self.assertEqual((minus["Code"], minus["Msg"], minus["Data"]), (-1, "minus", "one"))

    def test_nothing_returned_is_an_empty_result(self):
        for worker, client in PAIRS:
            with self.subTest(worker=worker, client=client):
                program = self.go_worker(worker, "Nothing")
                self.assertEqual(self.go_call(client, "Nothing")["Outcome"], "empty")
                program.kill()

    def test_a_function_that_fails_is_an_error_at_its_deadline(self):
        for worker in peers.VERSIONS:
            with self.subTest(worker=worker):
                program = self.go_worker(worker, "Fail,ToUpper")
                call = self.go_call(peers.NEW, "Fail")
                self.assertEqual((call["Outcome"], call["Msg"]), ("error", "request error"))
                self.assertGreaterEqual(call["Millis"], DEADLINE * 900)
                self.assertLess(call["Millis"], DEADLINE * 1000 + 2000)
                self.assert_upper(self.go_calls(peers.NEW, label="afterwards", calls=3), 3)
                program.kill()

    def test_a_function_that_nobody_serves_is_refused_at_once(self):
        for client in peers.VERSIONS:
            call = self.go_call(client, "Nobody")
            self.assertEqual((call["Outcome"], call["Msg"]), ("error", "have no job do"))

    def test_a_worker_killed_in_mid_job_is_an_error_at_once(self):
        for worker, client in PAIRS:
            with self.subTest(worker=worker, client=client):
                program = self.go_worker(worker, "Sleep")
                caller = Program([peers.go_client(client), "-server", self.address(), "-function", "Sleep",
                                  "-params", '{"ms":20000}', "-patience", "15s"], {})
                self.addCleanup(caller.close)
                program.says("busy").kill()
                caller.says("request error", patience=2)

    def test_a_client_that_gave_up_gets_the_answer_to_its_next_call(self):
        for client in peers.VERSIONS:
            with self.subTest(client=client):
                program = self.go_worker(peers.NEW, "Sleep")
                calls = self.two_given_up(client)
                self.assertEqual([call["Msg"] for call in calls[:2]], ["RESTIMEOUT"] * 2)
                self.assert_upper(calls[2:], 2)
                program.kill()

    def two_given_up(self, client):
        """Four calls, of which a client with a patience of 1 s gives up two: the first keeps the worker for 2.5 s.

        A client that the machine lets wait too long finds the answer and its time-out at once and may take either: no
        broker can help it, so such a run proves nothing and is made again.
        """
        for _ in range(STARVED):
            calls = self.go_calls(client, "Sleep", label="mine", calls=4, millis="2500,0000,0000,0000", patience="1s")
            if all(call["Millis"] < 1200 for call in calls):
                break
        return calls

    def test_a_worker_that_leaves_in_peace_takes_its_functions_with_it(self):
        for version in peers.VERSIONS:
            with self.subTest(worker=version):
                stays = self.go_worker(version, "Who", "stays")
                leaves = self.go_worker(version, "Who", "leaves")
                leaves.kill(signal.SIGTERM)
                calls = self.go_calls(peers.NEW, "Who", calls=20)
                self.assertEqual({(call["Outcome"], call["Data"]) for call in calls}, {("return", "stays")})
                stays.kill()


if __name__ == "__main__":
    unittest.main()

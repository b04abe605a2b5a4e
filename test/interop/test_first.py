"""The first generation (nmid-c, PHP) with itself and with the second, on a broker that the original is not.

The peer is first.c, a referee: it ends with `refused: ...` at the first byte that would have harmed the originals. What
a worker of the first generation may not be sent must come back to the caller as an error, and the worker live on.
"""

import unittest

import peers
from scene import Program, Scene

CANT_DO, ERROR = "type 4", "type 2"

# Params of a second-generation client that no array of "key:value" strings can carry safely, or at all.
UNSAFE = ['{"name":"a:b"}', '{"name":"a,b"}', '{"name":""}', '{"na:me":"x"}', '{"name":"a\\u0000b"}', '{"name":{"a":"b"}}',
          '{"name":["a","b"]}', '{}']


class FirstGeneration(Scene):
    settings = "function.Sleep.deadline_ms = 20000\n"

    def assert_unharmed(self, worker):
        self.assertTrue(worker.alive(), worker.said())
        self.assertNotIn("refused", worker.said())

    def test_a_client_reaches_a_worker(self):
        worker = self.first_worker("ToUpper,Join")
        for number in range(20):
            self.assertEqual(self.first_call("ToUpper", f"name:nmid-{number}"), f"return 0 OK NMID-{number}")
        self.assertEqual(self.first_call("Join", "a:one", "b:two", "c:three"), "return 0 OK one two three")
        self.assert_unharmed(worker)

    def test_a_client_reaches_go_workers(self):
        for version in peers.VERSIONS:
            with self.subTest(worker=version):
                program = self.go_worker(version)
                self.assertEqual(self.first_call("ToUpper", "name:nmid"), "return 0 ok NMID")
                self.assertEqual(self.first_call("ToUpper", "name:zh\u4e2d", "other:1"), "return 0 ok ZH\u4e2d")
                program.kill()

    def test_go_clients_reach_a_worker(self):
        worker = self.first_worker("ToUpper,Join")
        for version in peers.VERSIONS:
            for form in ({}, {"json": True}):
                with self.subTest(client=version, **form):
                    self.assert_upper(self.go_calls(version, label="down", calls=10, **form), 10)
                    call = self.go_call(version, "ToUpper", **form)
                    self.assertEqual((call["Code"], call["Msg"], call["Data"], call["Echo"]), (0, "OK", "NMID", "same"))
                    numbers = self.go_call(version, "Join", params='{"n":42}', **form)
                    self.assertEqual((numbers["Outcome"], numbers["Data"]), ("return", "42"))
        self.assert_unharmed(worker)

    def test_eight_go_clients_at_once_share_a_worker_that_takes_one_job_at_a_time(self):
        worker = self.first_worker()
        self.assert_upper(self.go_calls(peers.NEW, label="eight", connections=8, calls=25), 200)
        self.assert_unharmed(worker)

    def test_workers_of_both_generations_share_a_function(self):
        worker = self.first_worker()
        self.go_worker(peers.NEW)
        self.assert_upper(self.go_calls(peers.OLD, label="mixed", connections=4, calls=25), 100)
        for number in range(20):
            self.assertIn(self.first_call("ToUpper", f"name:x{number}").lower(), f"return 0 ok x{number}")
        self.assert_unharmed(worker)

    def test_params_that_would_kill_a_worker_are_an_error_instead(self):
        worker = self.first_worker("Join")
        for params in UNSAFE:
            for form in ({}, {"json": True}):
                with self.subTest(params=params, **form):
                    call = self.go_call(peers.NEW, "Join", params=params, **form)
                    self.assertEqual((call["Outcome"], call["Msg"]), ("error", "request error"))
                    self.assert_unharmed(worker)
        self.assertEqual(self.go_call(peers.NEW, "Join")["Data"], "nmid")

    def test_a_client_may_not_harm_a_worker_of_its_own_generation(self):
        worker = self.first_worker("Join")
        for pairs in (["no colon"], ["name:a:b"], ["name:"], ["name:a", "name:b,c"]):
            with self.subTest(pairs=pairs):
                self.assertEqual(self.first_call("Join", *pairs), ERROR)
                self.assert_unharmed(worker)

    def test_results_that_php_cannot_take_are_made_safe(self):
        self.go_worker(peers.NEW, "Minus,NoData,Nothing,Refuse")
        code = int(self.first_call("Minus", "name:x").split()[1])
        self.assertGreater(code, 0)
        self.assertEqual(self.first_call("NoData", "name:x"), "return 0 ok")
        self.assertEqual(self.first_call("Refuse", "name:x"), "return 100 bad")
        self.assertEqual(self.first_call("Nothing", "name:x"), ERROR)

    def test_a_client_is_told_that_nobody_serves(self):
        self.assertEqual(self.first_call("Nobody", "name:x"), CANT_DO)

    def test_a_client_whose_worker_dies_gets_an_error_at_once(self):
        for kind in (self.first_worker, lambda functions: self.go_worker(peers.NEW, functions)):
            worker = kind("Sleep")
            caller = Program([peers.first(), "client", self.broker.port, "Sleep", "ms:15000"], {})
            self.addCleanup(caller.close)
            worker.says("busy").kill()
            caller.says(ERROR, patience=2)

    def test_params_of_several_segments_go_through(self):
        worker = self.first_worker("Join")
        call = self.go_call(peers.NEW, "Join", size=12000, patience="60s")
        self.assertEqual((call["Outcome"], call["Data"] == call["Name"]), ("return", True))
        self.assert_unharmed(worker)


class Rewritten(Scene):
    """With results of the first generation rewritten for everybody, a Python client can read them too."""

    settings = "nmid_rewrite = all\n"

    def test_a_python_client_reads_the_result_of_a_worker_of_the_first_generation(self):
        self.first_worker()
        self.assert_upper(self.python_calls(label="down", calls=5), 5)


if __name__ == "__main__":
    unittest.main()

"""libipc's worker and caller, nmid_toupper and nmid_call, with the published peers on the other side.

With --original they meet them at the original broker: what we give users to build on serves there too.
"""

import unittest

import peers
from agent import STAGE
from scene import Scene


class Ours(Scene):
    def our_worker(self):
        return self.served([STAGE / "bin/nmid_toupper", self.address()], ["ToUpper"], sign=None)

    def our_call(self, *words):
        return self.ran([STAGE / "bin/nmid_call", "-s", self.address(), "ToUpper", *words])

    def test_go_clients_reach_our_worker(self):
        worker = self.our_worker()
        for version in peers.VERSIONS:
            for form in ({}, {"json": True}):
                with self.subTest(client=version, **form):
                    self.assert_upper(self.go_calls(version, label="ours", calls=20, **form), 20)
        self.assertTrue(worker.alive(), worker.said())

    def test_a_python_client_reaches_our_worker(self):
        self.our_worker()
        self.assert_upper(self.python_calls(label="python", calls=10), 10)

    def test_our_caller_reaches_go_workers(self):
        for version in peers.VERSIONS:
            with self.subTest(worker=version):
                program = self.go_worker(version)
                self.assertEqual(self.our_call("name=nmid").strip(), "NMID")
                self.assertEqual(self.our_call('{"name":"json"}').strip(), "JSON")
                program.kill()

    def test_our_caller_reaches_a_python_worker(self):
        self.python_worker()
        self.assertEqual(self.our_call("name=nmid").strip(), "NMID")


class OursAndTheFirstGeneration(Scene):
    our_worker, our_call = Ours.our_worker, Ours.our_call

    def test_a_client_of_the_first_generation_reaches_our_worker(self):
        self.our_worker()
        self.assertEqual(self.first_call("ToUpper", "name:nmid"), "return 0 ok NMID")

    def test_our_caller_reaches_a_worker_of_the_first_generation(self):
        worker = self.first_worker()
        self.assertEqual(self.our_call("name=nmid").strip(), "NMID")
        self.assertTrue(worker.alive(), worker.said())


if __name__ == "__main__":
    unittest.main()

"""New code for services that are at work, and what becomes of their state and of calls."""

import os
import threading
import unittest

from house import wait_for
from shells import IsolateCase, PluginCase


class Upgrade(PluginCase):
    def test_a_count_survives_new_code(self):
        config = self.config(self.counter("a", "LOOP"))
        child = self.shell(config)
        self.assertEqual(self.ask(config, "call", "a", "add", "40"), "40\n")
        self.counter("a", "LOOP", "BUILD=2")
        self.assertIn("generation 2, with its state; generation 1 of", self.ask(config, "upgrade", "a"))
        self.assertEqual(self.ask(config, "call", "a", "add", "2"), "42\n")
        self.assertEqual(self.ask(config, "call", "a", "generation"), "2 build 2\n")
        self.assertEqual(len(self.mapped(child)), 1)
        self.ends(child)

    def test_code_without_a_state_stops_before_its_successor_starts(self):
        config = self.config(self.plugin("a"))
        child = self.shell(config)
        self.assertIn("without its state", self.ask(config, "upgrade", "a"))
        self.assertEqual(self.diary(), ["a.init", "a.start", "a.stop", "a.deinit", "a.init", "a.start"])
        self.plugin("a", "FAIL_START")
        said = self.ask(config, "reload", code=1)
        self.assertIn("start failed, it returned -7", said)
        self.assertIn("generation 2 goes on", said)
        self.assertEqual(self.diary()[-7:], ["a.stop", "a.deinit", "a.init", "a.start", "a.deinit", "a.init", "a.start"])
        self.ends(child)

    def test_new_code_that_fails_leaves_the_old_at_work_with_its_count(self):
        config = self.config(self.counter("a"))
        child = self.shell(config)
        self.ask(config, "call", "a", "add", "7")
        for wrong, said in (("FAIL=init", "init failed"), ("FAIL=start", "start failed"),
                            ("FAIL=import_state", "import_state failed"), ("ABI=9", "its abi is 9; expected MSF_SVC_ABI"),
                            ("SIZE=20", "its size is 20; expected"), ("SIZE=4000", "its size is 4000; the variable has")):
            with self.subTest(wrong=wrong):
                self.counter("a", "BUILD=2", wrong)
                told = self.ask(config, "upgrade", "a", code=1)
                self.assertIn(said, told)
                self.assertIn("generation 1 goes on", told)
                self.assertEqual(self.ask(config, "call", "a", "get"), "7\n")
                self.assertEqual(len(self.mapped(child)), 1)
        (self.house.folder / "liba.so").write_text("not a library")
        self.assertIn("is not a shared library", self.ask(config, "upgrade", "a", code=1))
        (self.house.folder / "liba.so").unlink()
        self.assertIn("no library", self.ask(config, "upgrade", "a", code=1))
        self.assertEqual(self.ask(config, "call", "a", "add", "1"), "8\n")
        self.ends(child)

    def test_old_code_that_cannot_hand_over_stays(self):
        config = self.config(self.counter("a", "FAIL=export_state"))
        child = self.shell(config)
        self.ask(config, "call", "a", "add", "7")
        self.counter("a", "BUILD=2")
        self.assertIn("a of generation 1: export_state failed", self.ask(config, "upgrade", "a", code=1))
        self.assertEqual(self.ask(config, "call", "a", "get"), "7\n")
        self.ends(child)


class UnderCalls(IsolateCase):
    """As many upgrades as MSF_UPGRADES says; the long run is in test/soak."""

    ROUNDS = os.environ.get("MSF_UPGRADES")

    def test_no_call_and_no_count_is_lost(self):
        self.lose_nothing(self.counter, 20)

    def test_no_call_and_no_count_is_lost_by_a_process_of_its_own(self):
        self.lose_nothing(self.lone, 8)

    def lose_nothing(self, plugin, rounds):
        rounds = int(self.ROUNDS or rounds)
        library, builds = self.house.folder / "liba.so", []
        for build in (1, 2):
            config = self.config(plugin("a", f"BUILD={build}"))
            builds.append(library.read_bytes())
        child = self.shell(config)
        stop, counts, wrong = threading.Event(), [0] * 4, []

        def caller(number):
            with self.talk(refused=True) as ask:
                while not stop.is_set():
                    answer = ask(verb="call", service="a", command="add", text="1")
                    if answer.get("code") == 0:
                        counts[number] += 1
                    else:
                        wrong.append(answer)
        threads = [threading.Thread(target=caller, args=(number,)) for number in range(len(counts))]
        for thread in threads:
            thread.start()
        with self.talk() as ask:
            for number in range(rounds):
                fresh = self.house.folder / "fresh"
                fresh.write_bytes(builds[number % 2])
                fresh.rename(library)
                ask(verb="upgrade", service="a")
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])
            self.assertEqual(ask(verb="call", service="a", command="get")["text"], str(sum(counts)))
            self.assertEqual(ask(verb="call", service="a", command="generation")["text"],
                             f"{rounds + 1} build {2 - rounds % 2}")
            self.assertGreater(sum(counts), rounds)
            self.assertEqual(ask(verb="list")["left"], [])
        wait_for("the old code to be gone", lambda: len(self.mapped(child)) + len(self.children(child)) == 1)
        if self.ROUNDS:
            print(f"plugins: {rounds} upgrades under {sum(counts)} calls, none lost, {self.id().rpartition('.')[2]}", flush=True)
        self.ends(child)


if __name__ == "__main__":
    unittest.main()

"""services_dir: services come, change and go with the files of a folder."""

import json
import os
import shutil
import signal
import threading
import unittest
from pathlib import Path

from house import HERE, wait_for
from nmid_peer import CANT_DO, RESULT
from test_shell_functions import Crowd, FunctionCase


class FolderCase(FunctionCase):
    def setUp(self):
        super().setUp()
        self.dir = self.house.folder / "services"
        self.dir.mkdir()
        self.libraries = {}

    def library(self, name, *defines):
        """A library's file, compiled once; it lies elsewhere."""
        key = (name, *defines)
        if key not in self.libraries:
            path = self.house.folder / f"made_{len(self.libraries)}.so"
            flags = [f"-DNAME={name}", *(f"-D{word}" for word in defines), "-shared", "-fPIC"]
            self.libraries[key] = self.house.compile(HERE / "function_plugin.c", path, *flags)
        return self.libraries[key]

    def drop_json(self, name, **more):
        entry = {"svc_name": name, "svc_libs": f"lib{name}.so", **more}
        (self.dir / f"{name}.json").write_text(json.dumps(entry))

    def drop_library(self, name, *defines, to=None):
        shutil.copy2(self.library(name, *defines), self.dir / (to or f"lib{name}.so"))

    def watching(self, *services, **changes):
        config = self.config(*services, services_dir="services", **changes)
        child = self.shell(config)
        wait_for("the folder to be watched", lambda: f"{self.dir} is watched" in self.log_text())
        return child, config

    def state(self, config, name):
        return self.listed(config)[0].get(name, {}).get("state")

    def started(self, config, *names):
        wait_for(f"{names} to be started", lambda: all(self.state(config, name) == "started" for name in names))

    def gone(self, config, name):
        wait_for(f"{name} to be gone", lambda: self.state(config, name) is None)

    def logged(self, what):
        wait_for(f"the record {what!r}", lambda: what in self.log_text())


class Folder(FolderCase):
    LONG = True

    def test_a_library_and_its_file_in_whatever_order_are_a_service_and_either_taken_away_is_its_end(self):
        child, config = self.watching()
        self.drop_json("a", worker=True)
        self.logged('no library "liba.so" (svc_libs in')
        self.assertEqual(self.state(config, "a"), "missing")
        self.drop_library("a")
        self.started(config, "a")
        self.registered(config, "a")
        self.assertEqual(self.native("Who", b"\x80")[1][2], b'"a"')
        row = self.listed(config)[0]["a"]
        self.assertEqual((row["file"], row["library"]), (str(self.dir / "a.json"), str(self.dir / "liba.so")))
        self.drop_library("b")
        self.drop_json("b")
        self.started(config, "b")
        (self.dir / "libb.so").unlink()
        wait_for("b to be down", lambda: self.state(config, "b") == "missing")
        (self.dir / "b.json").unlink()
        self.gone(config, "b")
        (self.dir / "a.json").unlink()
        self.gone(config, "a")
        self.assertEqual(self.native("Who", b"\x80")[0], CANT_DO)
        self.assertEqual(self.mapped(child), set())
        self.ends(child)

    def test_what_is_there_at_the_start_is_taken_up_with_the_rest(self):
        self.drop_json("a", requires=["main"])
        self.drop_library("a")
        (self.dir / "bad.json").write_text("{")
        child, config = self.watching(self.functions("main"))
        services = self.listed(config)[0]
        self.assertEqual((services["a"]["state"], services["main"]["state"]), ("started", "started"))
        self.assertEqual(services["main"]["file"], str(config))
        self.assertIn("bad.json: not JSON", self.log_text())
        parsed = self.call("-c", config, "-k", "parse")
        self.assertEqual(parsed.returncode, 1)
        self.assertIn("bad.json: not JSON", parsed.stderr)
        self.ends(child)

    def test_a_new_library_is_an_upgrade_and_a_new_config_too_and_no_call_is_lost(self):
        child, config = self.watching()
        self.drop_json("a", worker=True)
        self.drop_library("a", "STATE")
        self.registered_soon(config, "a")
        crowd = Crowd(self, b"Count")
        crowd.more(20)
        generation = 1
        for number in range(4):
            self.drop_library("a", *["STATE", "MORE"][:2 - number % 2])
            generation = self.next_generation(config, "a", generation)
            crowd.more(20)
            self.drop_json("a", worker=True, config={"n": number})
            generation = self.next_generation(config, "a", generation)
            crowd.more(20)
        answers, others = crowd.ends()
        self.assertEqual(others, [])
        self.assertEqual(sorted(map(int, answers)), list(range(1, len(answers) + 1)))
        self.ends(child)

    def next_generation(self, config, name, before):
        def now():
            return self.listed(config)[0][name]["generation"]
        wait_for("the next generation", lambda: now() > before)
        return now()

    def registered_soon(self, config, name):
        self.started(config, name)
        self.registered(config, name)

    def test_a_service_that_is_taken_away_under_calls_answers_what_it_has(self):
        child, config = self.watching()
        self.drop_library("a")
        self.drop_json("a", worker=True)
        self.registered_soon(config, "a")
        crowd = Crowd(self, b"Who")
        for _ in range(3):
            crowd.more(30)
            (self.dir / "a.json").unlink()
            self.gone(config, "a")
            self.drop_json("a", worker=True)
            self.registered_soon(config, "a")
        crowd.more(30)
        self.assertLessEqual(set(crowd.ends()[1]), {CANT_DO})
        self.ends(child)

    def test_a_library_that_is_half_copied_does_no_harm_and_is_loaded_when_it_is_whole(self):
        child, config = self.watching()
        whole = self.library("a", "STATE").read_bytes()
        self.drop_json("a")
        (self.dir / "liba.so").write_bytes(whole[:len(whole) // 2])
        self.logged("is cut off")
        self.assertEqual(self.state(config, "a"), "missing")
        (self.dir / "liba.so").write_bytes(whole)
        self.started(config, "a")
        self.ask(config, "call", "a", "Count")
        (self.dir / "liba.so").write_bytes(whole[:len(whole) // 2])
        self.logged("the upgrade failed")
        self.assertEqual(self.ask(config, "call", "a", "Count"), "2\n")
        records = self.log_text().count("the upgrade failed")
        (self.dir / "unrelated").write_text("")
        self.drop_json("b")
        wait_for("b to be tried", lambda: self.state(config, "b") == "missing")
        self.assertEqual(self.log_text().count("the upgrade failed"), records, "what has not changed is not tried again")
        self.drop_library("a", "STATE", "MORE")
        wait_for("the new code", lambda: self.listed(config)[0]["a"]["generation"] > 1)
        self.assertEqual(self.ask(config, "call", "a", "Count"), "3\n")
        self.ends(child)

    def test_a_file_that_is_wrong_is_told_once_and_its_service_stays_until_it_is_right(self):
        child, config = self.watching()
        self.drop_library("a")
        self.drop_json("a", config={"n": 1})
        self.started(config, "a")
        (self.dir / "a.json").write_text('{"svc_name": "a", "svc_lib": 1}')
        self.logged(f'{self.dir}/a.json: svc_lib: unknown key; did you mean "svc_libs"?')
        self.drop_library("b")
        self.drop_json("b")
        self.started(config, "a", "b")
        self.assertEqual(self.log_text().count("svc_lib: unknown key"), 1)
        self.drop_json("b2", svc_name="b")
        self.logged('b2.json: svc_name: there is a service "b" already')
        (self.dir / "a.json").unlink()
        self.gone(config, "a")
        self.started(config, "b")
        self.ends(child)

    def test_one_that_requires_another_waits_for_it(self):
        child, config = self.watching()
        self.drop_library("b")
        self.drop_json("b", requires=["a"])
        self.logged('b.json: requires: there is no service "a"')
        self.drop_json("a")
        wait_for("a to be tried", lambda: self.state(config, "a") == "missing")
        self.logged("service b: requires a, which is not up")
        self.drop_library("a")
        self.started(config, "a", "b")
        self.ends(child)

    def test_one_that_was_unloaded_stays_down_until_something_of_it_changes(self):
        child, config = self.watching()
        self.drop_library("a", "STATE")
        self.drop_json("a")
        self.started(config, "a")
        self.ask(config, "unload", "a")
        self.drop_library("b")
        self.drop_json("b")
        self.started(config, "b")
        self.assertIsNone(self.state(config, "a"))
        self.drop_library("a", "STATE", "MORE")
        self.started(config, "a")
        self.ask(config, "unload", "a")
        self.ask(config, "load", "a")
        self.started(config, "a")
        self.ends(child)

    def test_a_folder_that_is_not_there_is_waited_for_and_one_that_vanishes_takes_nobody_with_it(self):
        self.dir.rmdir()
        config = self.config(services_dir="services")
        child = self.shell(config)
        self.logged(f"{self.dir} cannot be watched")
        fresh = self.house.folder / "fresh"
        fresh.mkdir()
        self.dir, there = fresh, self.dir
        self.drop_library("a")
        self.drop_json("a")
        fresh.rename(there)
        self.dir = there
        self.started(config, "a")
        there.rename(fresh)
        wait_for("the loss", lambda: self.log_text().count("cannot be watched") == 2)
        self.assertEqual(self.state(config, "a"), "started")
        there.mkdir()
        self.drop_library("b")
        self.drop_json("b")
        self.started(config, "b")
        self.gone(config, "a")
        self.ends(child)

    def test_a_folder_that_anybody_may_write_into_is_warned_of(self):
        child, config = self.watching()
        self.assertNotIn("anybody may write", self.log_text())
        there = self.house.folder / "open"
        there.mkdir()
        there.chmod(0o777)
        self.dir.rename(self.house.folder / "closed")
        there.rename(self.dir)
        self.logged(f"anybody may write into {self.dir}")
        self.ends(child)

    def test_many_files_at_once_are_all_taken_up_and_all_taken_down(self):
        child, config = self.watching()
        names = [f"s{number}" for number in range(40)]
        made = [self.library(name) for name in names[:4]]
        for number, name in enumerate(names):
            source = names[number % 4]
            shutil.copy2(made[number % 4], self.dir / f"{name}.so")
            if number < 4:
                self.drop_json(name, svc_libs=f"{name}.so")
            else:
                (self.dir / f"{name}.json").write_text(json.dumps({"svc_name": source, "svc_libs": f"{name}.so"}))
        self.started(config, *names[:4])
        wait_for("the others to be refused", lambda: self.log_text().count("already") >= 36)
        for path in self.dir.iterdir():
            path.unlink()
        wait_for("all to be gone", lambda: not self.listed(config)[0])
        self.ends(child)

    def test_links_and_folders_that_are_swapped_under_a_storm_of_events_are_followed(self):
        child, config = self.watching()
        self.drop_library("a", to="real.so")
        stop = threading.Event()

        def storm():
            while not stop.is_set():
                for number in range(200):
                    path = self.dir / f"noise{number}"
                    path.write_text("")
                    path.unlink()
        thread = threading.Thread(target=storm)
        thread.start()
        try:
            os.symlink("real.so", self.dir / "liba.so")
            self.drop_json("a")
            self.started(config, "a")
            (self.dir / "a.json").unlink()
            self.gone(config, "a")
        finally:
            stop.set()
            thread.join()
        self.ends(child)

    def test_what_happened_while_the_queue_overflowed_is_not_missed(self):
        child, config = self.watching()
        child.send_signal(signal.SIGSTOP)
        most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        for number in range(most // 3 + 100):
            path = self.dir / f"noise{number % 7}"
            path.write_text("")
            path.unlink()
        self.drop_library("a")
        self.drop_json("a")
        child.send_signal(signal.SIGCONT)
        self.started(config, "a")
        self.logged("more has happened than could be told")
        self.ends(child)

    def test_an_isolated_service_comes_is_replaced_and_goes_with_its_files(self):
        child, config = self.watching()
        self.drop_json("a", worker=True, isolate=True)
        self.logged('no library "liba.so"')
        self.drop_library("a", "STATE")
        self.registered_soon(config, "a")
        first = self.pid_of(config)
        self.assertEqual((self.children(child), self.mapped(child)), ([first], set()))
        crowd = Crowd(self, b"Count", 4)
        crowd.more(20)
        self.drop_library("a", "STATE", "MORE")
        wait_for("the new function", lambda: self.native("More", b"\x80")[0] == RESULT)
        crowd.more(20)
        answers, others = crowd.ends()
        self.assertEqual(others, [], "no call was lost")
        self.assertEqual(sorted(map(int, answers)), list(range(1, len(answers) + 1)), "and no count")
        second = self.pid_of(config, "a", first)
        wait_for("the old code's process to end", lambda: self.children(child) == [second])
        (self.dir / "liba.so").unlink()
        wait_for("it to be down", lambda: self.state(config, "a") == "missing")
        wait_for("its process to end", lambda: self.children(child) == [])
        self.assertEqual(self.native("Who", b"\x80")[0], CANT_DO)
        self.drop_library("a", "STATE")
        self.registered_soon(config, "a")
        self.assertEqual(self.native("Count", b"\x80")[1][2], b"1")
        (self.dir / "a.json").unlink()
        self.gone(config, "a")
        wait_for("its process to end", lambda: self.children(child) == [])
        self.assertEqual(self.native("Who", b"\x80")[0], CANT_DO)
        self.ends(child)

    def test_an_isolated_service_of_the_folder_that_dies_is_replaced(self):
        child, config = self.watching()
        self.drop_library("a")
        self.drop_json("a", worker=True, isolate=True)
        self.registered_soon(config, "a")
        before = self.pid_of(config)
        code, said, _ = self.native("Crash", b"\x80")[1]
        self.assertEqual(code, 503, said)
        self.assertNotEqual(self.pid_of(config, "a", before), before)
        self.assertEqual(self.native("Who", b"\x80")[1][2], b'"a"')
        self.ends(child)


if __name__ == "__main__":
    unittest.main()

"""The parts of build.py that decide something: counting, what a missing package leads to, targets; and its tarball."""

import os
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import build                                            # noqa: E402
import household                                        # noqa: E402
from builder import machine, stage, suite, target       # noqa: E402
from builder.command import BuildError                  # noqa: E402


class Counting(unittest.TestCase):
    def count(self, text, status=0):
        return str(suite.counted(text, status))

    def test_cargo_results_are_added_up(self):
        text = ("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n"
                "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n")
        self.assertEqual("15 passed, 2 failed, 1 skipped", self.count(text, 101))

    def test_unittest_verdicts_are_read(self):
        ran = "Ran 7 tests in 0.1s\n\n"
        self.assertEqual("7 passed, 0 failed, 0 skipped", self.count(ran + "OK\n"))
        self.assertEqual("6 passed, 0 failed, 1 skipped", self.count(ran + "OK (skipped=1)\n"))
        self.assertEqual("3 passed, 3 failed, 1 skipped", self.count(ran + "FAILED (failures=2, errors=1, skipped=1)\n", 1))

    def test_a_script_that_counts_itself_is_believed_at_its_last_word(self):
        self.assertEqual("5 passed, 1 failed, 0 skipped", self.count("1 passed, 0 failed\n5 passed, 1 failed\n", 1))

    def test_a_silent_step_is_one_test(self):
        self.assertEqual("1 passed, 0 failed, 0 skipped", self.count("fine\n"))
        self.assertEqual("0 passed, 1 failed, 0 skipped", self.count("", 1))

    def test_a_failing_status_is_a_failure_whatever_was_counted(self):
        self.assertEqual("4 passed, 1 failed, 0 skipped", self.count("4 passed, 0 failed\n", 1))
        self.assertEqual("4 passed, 1 failed, 0 skipped", self.count("4 passed, 0 failed\n", None))

    def test_a_step_that_hangs_is_ended_and_fails(self):
        with mock.patch.object(suite, "LOG", suite.ROOT / "build/log/test_builder"), mock.patch("builtins.print"):
            count = suite.Step("hangs", ["sleep", "30"], limit=0.2).run()
        self.assertEqual(1, count.failed)

    def test_a_step_that_is_alone_waits_for_those_behind_the_others_and_all_are_counted(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch("builtins.print") as said:
            with mock.patch.object(suite, "LOG", suite.ROOT / "build/log/test_builder"):
                behind = Path(folder, "behind")
                status = suite.run_all([suite.Step("slow", ["sh", "-c", f"sleep 0.3; touch {behind}"], behind=True),
                                        suite.Step("front", ["test", "!", "-e", behind]),
                                        suite.Step("broken", ["false"], behind=True),
                                        suite.Step("measures", ["test", "-e", behind], alone=True)])
        self.assertEqual(1, status)
        self.assertEqual("3 passed, 1 failed, 0 skipped", str(said.call_args_list[-1].args[0]))


class Missing(unittest.TestCase):
    def test_who_is_not_root_is_told_the_package(self):
        with mock.patch("os.geteuid", return_value=1000), mock.patch("shutil.which", return_value="/usr/bin/apt-get"):
            with self.assertRaisesRegex(BuildError, "missing: foo; install as root: apt-get install foo-dev"):
                machine.install(["foo-dev"], "missing: foo")

    def test_elsewhere_than_debian_the_package_is_named_too(self):
        with mock.patch("shutil.which", return_value=None):
            with self.assertRaisesRegex(BuildError, "on Debian these packages provide it: foo-dev"):
                machine.install(["foo-dev"], "missing: foo")

    def test_root_installs_and_looks_again(self):
        need = machine.Need("no-such-program-anywhere", "foo")
        with mock.patch.object(machine, "install") as install:
            with self.assertRaisesRegex(BuildError, r"still missing after installation: no-such-program-anywhere"):
                machine.obtain([need])
        install.assert_called_once()

    def test_an_old_toolchain_without_rustup_becomes_debians(self):
        versions = iter([(1, 63), (1, 63), (1, 96)])
        with mock.patch.object(machine.Rust, "version", side_effect=lambda: next(versions)), \
             mock.patch("shutil.which", return_value=None), mock.patch.object(machine, "install") as install:
            machine.Rust()
        self.assertEqual(["rustc-web", "cargo-web", "ca-certificates"], install.call_args[0][0])
        self.assertIn("1.63 is here", install.call_args[0][1])


class Targets(unittest.TestCase):
    def test_an_unknown_target_lists_the_known(self):
        with self.assertRaisesRegex(BuildError, "mips.*known are x86_64"):
            target.named("mips")

    def test_cargo_target_dir_is_honoured(self):
        tree = stage.Stage(target.TARGETS["armv7-unknown-linux-gnueabihf"])
        with mock.patch.dict(os.environ, {"CARGO_TARGET_DIR": "/elsewhere"}):
            self.assertEqual("/elsewhere/armv7-unknown-linux-gnueabihf/release", str(tree.cargo_folder()))

    def test_the_version_is_the_workspaces(self):
        self.assertRegex(stage.version(), r"^\d+\.\d+\.\d+$")

    def test_every_profile_has_a_tree_of_its_own(self):
        places = {stage.Stage(target.named(None), profile).root.name for profile in stage.PROFILES}
        self.assertEqual(len(stage.PROFILES), len(places))


@unittest.skipUnless(stage.Stage(target.named(None)).stamp.exists(), "no stage tree; run ./build.py first")
class Package(unittest.TestCase):
    def test_the_tarball_runs_where_it_is_unpacked_and_tells_nothing_of_who_made_it(self):
        with tempfile.TemporaryDirectory(prefix="msf-package-") as name:
            path = build.pack(stage.Stage(target.named(None)), Path(name))
            with tarfile.open(path) as archive:
                self.assertEqual({(0, 0, "root", "root")}, {(m.uid, m.gid, m.uname, m.gname) for m in archive})
                archive.extractall(name)
            tree = path.with_name(path.name.removesuffix(".tar.gz"))
            for part in ("bin", "lib", "include", "etc/msf", "README.md", "CHANGELOG.md", "LICENSE-MIT", "doc/abi.md"):
                self.assertTrue((tree / part).exists(), part)
            said = subprocess.run([tree / "bin/msf_shell", "-v"], stdout=subprocess.PIPE, text=True, check=True).stdout
            self.assertIn(stage.version(), said)


class Household(unittest.TestCase):
    def test_regress_what_other_programs_log_meanwhile_is_nothing_the_demo_has_left(self):
        before = household.shared_memory()
        with tempfile.NamedTemporaryFile(prefix="msf-log-msf-daemon-test-", dir="/dev/shm") as log:
            self.assertNotIn(log.name, household.shared_memory() - before)
        with tempfile.NamedTemporaryFile(prefix="msf-ring-", dir="/dev/shm") as ring:
            self.assertIn(ring.name, household.shared_memory() - before)


if __name__ == "__main__":
    unittest.main()

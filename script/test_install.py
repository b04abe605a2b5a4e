"""`make install` puts everything in place, a C program builds from it by pkg-config and by CMake, `make uninstall` leaves
nothing.

Needs a stage tree: the one MSF_STAGE names, made by `./build.py`.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))

from builder import stage, target                       # noqa: E402
from builder.command import BuildError                  # noqa: E402
from builder.installation import Installation           # noqa: E402

README = (ROOT / "README.md").read_text()
SEED_JSON = "183dfdeec6db2dfdbb265d0c1d6797b0e5352dd20b40f68da1609c6d7b4fb0be"
PROGRAM = """
#include <stdio.h>
#include <client.h>
#include <msf.h>
int main(void) { printf("%s %p\\n", msf_version(), (void *)client_agent_init); return 0; }
"""


def tree():
    """The stage tree under test."""
    return stage.Stage(target.named(None))


@unittest.skipUnless(tree().stamp.exists(), "no stage tree; run ./build.py first")
class Install(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="msf-install-")
        self.addCleanup(self.folder.cleanup)
        self.base = Path(self.folder.name)
        self.destdir = self.base / "root"

    def installed(self, prefix="/usr/local"):
        installation = Installation(prefix, str(self.destdir))
        installation.install(tree())
        return self.destdir / prefix.lstrip("/")

    def real_prefix(self):
        """An installation without DESTDIR; what the loader of this machine knows stays as it is."""
        with mock.patch.object(Installation, "refresh_loader"):
            Installation(str(self.base / "prefix")).install(tree())
        return self.base / "prefix"

    def files(self):
        return sorted(str(path.relative_to(self.destdir)) for path in self.destdir.rglob("*"))

    def run_it(self, *command, **env):
        done = subprocess.run([str(word) for word in command], cwd=self.base, env={**os.environ, **env},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(0, done.returncode, f"{command}:\n{done.stdout}")
        return done.stdout

    def test_everything_promised_is_there(self):
        prefix = self.installed()
        for name in ("bin/msf_agent", "bin/msf_shell", "bin/msf_daemon", "bin/msf_upnp", "bin/msf_dlna",
                     "lib/libmsf.so", "lib/libmsf.so.1", "lib/libipc.so", "lib/libipc.so.1", "lib/libmsf_agent1.so",
                     "lib/libmsf_agent2.so", "include/msf/msf_svc.h", "include/msf/client.h", "lib/pkgconfig/msf.pc",
                     "lib/pkgconfig/ipc.pc", "lib/cmake/Msf/MsfConfig.cmake", "etc/msf/msf_agent.conf",
                     "etc/msf/msf_agent.json", "etc/msf/server.yaml", "etc/msf/msf_agent_svc.json",
                     "etc/msf/msf_daemon.json", "lib/systemd/system/msf_agent.service",
                     "lib/systemd/system/msf_daemon.service", "lib/systemd/system/msf_shell@.service",
                     "share/doc/msf/LICENSE-MIT", "share/doc/msf/LICENSE-APACHE", "share/doc/msf/doc/troubleshooting.md"):
            self.assertTrue((prefix / name).exists(), name)
        self.assertEqual("libmsf.so.1", os.readlink(prefix / "lib/libmsf.so"))
        for path in prefix.rglob("*"):
            if path.suffix in (".pc", ".cmake", ".service", ".json", ".conf", ".yaml"):
                self.assertNotRegex(path.read_text(), "@[A-Z]+@", path)

    def test_every_link_of_the_installed_documentation_leads_to_a_file(self):
        folder = self.installed() / "share/doc/msf"
        for page in sorted(folder.rglob("*.md")):
            for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
                if "://" not in link:
                    self.assertTrue((page.parent / link).exists(), f"{page.relative_to(folder)}: {link}")

    def test_the_samples_are_accepted_where_they_are_staged_and_where_they_are_installed(self):
        for root in (tree().root, self.installed()):
            for program, sample in (("msf_agent", "msf_agent.conf"), ("msf_agent", "msf_agent.json"),
                                    ("msf_agent", "server.yaml"), ("msf_shell", "msf_agent_svc.json"),
                                    ("msf_daemon", "msf_daemon.json")):
                said = self.run_it(root / "bin" / program, "-k", "parse", "-c", root / "etc/msf" / sample,
                                   MSF_RUN_DIR=str(self.base / "run"), MSF_LOG_DIR=str(self.base / "log"))
            self.assertIn(str(root / "bin/msf_agent"), said)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze here; Debian's package systemd has it")
    def test_systemd_takes_the_units_without_a_complaint(self):
        # The units name the programs absolutely, and systemd looks whether they are there.
        units = sorted((self.real_prefix() / "lib/systemd/system").iterdir())
        self.assertEqual(3, len(units))
        said = self.run_it("systemd-analyze", "verify", "--man=no", *units)
        # What it has to say of this machine's own units is none of our business.
        # DelegateSubgroup is for systemd 254 and later; those before say that they pass it over.
        ours = [line for line in said.splitlines() if "msf" in line and "'DelegateSubgroup'" not in line]
        self.assertEqual([], ours)

    def test_a_shell_unit_works_beside_either_broker(self):
        folder = self.installed() / "lib/systemd/system"
        shell = (folder / "msf_shell@.service").read_text()
        self.assertNotRegex(shell, "(?m)^(Wants|Requires|BindsTo|Conflicts)=")
        self.assertRegex(shell, "(?m)^After=.*msf_agent.service msf_daemon.service")
        self.assertIn("\nConflicts=msf_daemon.service\n", (folder / "msf_agent.service").read_text())
        self.assertIn("\nConflicts=msf_agent.service\n", (folder / "msf_daemon.service").read_text())

    def test_make_install_and_uninstall_leave_nothing(self):
        words = ["make", "-C", ROOT, "PREFIX=/opt/msf", f"DESTDIR={self.destdir}", f"PYTHON={sys.executable}"]
        self.run_it(*words, "install")
        self.assertTrue((self.destdir / "opt/msf/bin/msf_agent").exists())
        self.run_it(*words, "uninstall")
        self.assertEqual([], self.files())

    def test_uninstall_keeps_what_is_not_ours(self):
        prefix = self.installed()
        other = prefix / "lib/libother.so"
        other.write_text("somebody's")
        changed = prefix / "etc/msf/msf_agent.conf"
        changed.write_text("tcp_port=1\n")
        Installation("/usr/local", str(self.destdir)).uninstall()
        kept = [path for path in self.destdir.rglob("*") if path.is_file()]
        self.assertEqual({other, changed}, set(kept))

    def test_an_edited_configuration_is_not_overwritten(self):
        conf = self.installed() / "etc/msf/msf_agent.conf"
        conf.write_text("tcp_port=1\n")
        self.installed()
        self.assertEqual("tcp_port=1\n", conf.read_text())
        self.assertTrue(conf.with_name("msf_agent.conf.new").exists())

    def test_installing_twice_and_uninstalling_once_leaves_nothing(self):
        self.installed()
        self.installed()
        Installation("/usr/local", str(self.destdir)).uninstall()
        self.assertEqual([], self.files())

    def test_usr_keeps_its_configuration_in_etc(self):
        self.installed("/usr")
        self.assertTrue((self.destdir / "etc/msf/msf_agent.conf").exists())
        self.assertIn("/etc/msf/msf_agent.conf",
                      (self.destdir / "usr/lib/systemd/system/msf_agent.service").read_text())

    def test_a_relative_prefix_is_refused(self):
        with self.assertRaises(BuildError):
            Installation("local")

    def test_uninstalling_nothing_says_so(self):
        with self.assertRaisesRegex(BuildError, "nothing to uninstall"):
            Installation("/usr/local", str(self.destdir)).uninstall()

    def test_a_c_program_builds_with_pkg_config(self):
        prefix = self.installed()
        (self.base / "app.c").write_text(PROGRAM)
        words = ("pkg-config", "--cflags", "--libs", "ipc")
        self.assertIn("-I/usr/local/include/msf", self.run_it(*words, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig")))
        flags = self.run_it(*words, "--define-prefix", PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"))
        self.run_it("gcc", "-Wall", "-Werror", "app.c", "-o", "app", *flags.split())
        self.assertIn(stage.version(), self.run_it("./app", LD_LIBRARY_PATH=str(prefix / "lib")))

    def test_the_service_of_readme_builds_from_what_is_installed_as_printed(self):
        prefix = self.real_prefix()
        (self.base / "service.c").write_text(re.search(r"```c\n(.*?)```", README, re.S)[1])
        line = re.search(r"^    (gcc service\.c .*pkg-config.*)$", README, re.M)[1]
        self.run_it("sh", "-c", line, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"))
        found = self.run_it("ldd", "service", LD_LIBRARY_PATH=str(prefix / "lib"))
        self.assertIn(f"libipc.so.1 => {prefix}/lib/libipc.so.1", found)
        self.assertIn(f"libmsf.so.1 => {prefix}/lib/libmsf.so.1", found)

    def test_a_c_program_and_a_plugin_build_with_cmake(self):
        prefix = self.installed()
        (self.base / "app.c").write_text(PROGRAM)
        plugin = ROOT / "plugins/msf_agent1/msf_agent1.c"
        (self.base / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.5)\nproject(app C)\nfind_package(Msf 0.1 REQUIRED)\n"
            "add_executable(app app.c)\ntarget_link_libraries(app Msf::ipc)\n"
            f"msf_add_plugin(msf_agent1 {plugin})\n")
        self.run_it("cmake", "-S", ".", "-B", "out", f"-DCMAKE_PREFIX_PATH={prefix}")
        self.run_it("cmake", "--build", "out")
        self.assertIn(stage.version(), self.run_it("out/app"))
        symbols = self.run_it("nm", "-D", "--defined-only", "out/libmsf_agent1.so")
        self.assertIn(" D msf_agent1", symbols)

    def test_the_cmake_template_for_plugins_builds(self):
        prefix = self.installed()
        source = ROOT / "plugins/msf_agent1/msf_agent1.c"
        self.run_it("cmake", "-S", ROOT / "cmake/plugin", "-B", self.base / "out", f"-DCMAKE_PREFIX_PATH={prefix}",
                    f"-DMY_SERVICE_SOURCES={source}")
        self.run_it("cmake", "--build", self.base / "out")
        self.assertTrue((self.base / "out/libmy_service.so").exists())

    def test_cmake_refuses_a_newer_version_than_installed(self):
        prefix = self.installed()
        (self.base / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.5)\nproject(app C)\nfind_package(Msf 9.0 REQUIRED)\n")
        done = subprocess.run(["cmake", "-S", ".", "-B", "out", f"-DCMAKE_PREFIX_PATH={prefix}"], cwd=self.base,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertNotEqual(0, done.returncode)


class SeedDocument(unittest.TestCase):
    def test_the_shipped_json_is_the_original_users_file_byte_for_byte(self):
        text = (ROOT / "script/config/msf_agent_svc.json").read_bytes()
        self.assertEqual(SEED_JSON, hashlib.sha256(text).hexdigest())


if __name__ == "__main__":
    unittest.main()

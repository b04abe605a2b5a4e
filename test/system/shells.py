"""A shell with plugins that the tests make: in its process, in processes of their own, in C and in Rust."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import unittest
from pathlib import Path

from house import HERE, ROOT, STAGE, House, program, wait_for


SEED = {
    "proc_name": "msf_agent",
    "proc_author": "http://luotang.me",
    "proc_version": "beta v1.0",
    "proc_desc": "Micro agent service config file",
    "proc_svcs": [{"svc_name": "msf_agent1", "svc_libs": "libmsf_agent1.so"},
                  {"svc_name": "msf_agent2", "svc_libs": "libmsf_agent2.so"}],
}


class ShellCase(unittest.TestCase):
    def setUp(self):
        self.house = House(self)
        self.diary_file = self.house.folder / "diary"
        self.house.env["DIARY"] = str(self.diary_file)

    def plugin(self, name, *defines, folder=None):
        """lib<name>.so in the config's folder, and its entry for proc_svcs."""
        folder = folder or self.house.folder
        flags = [f"-DNAME={name}", *(f"-D{word}" for word in defines), "-shared", "-fPIC"]
        self.house.compile(HERE / "diary_plugin.c", folder / f"lib{name}.so", *flags)
        return {"svc_name": name, "svc_libs": f"lib{name}.so"}

    def config(self, *services, name="svc.json", **changes):
        """A file beside the plugins."""
        document = {**SEED, "proc_name": "trial", "proc_svcs": list(services), **changes}
        path = self.house.folder / name
        path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
        return path

    def shell(self, config, *words, **options):
        """A shell that is up, or has ended."""
        return self.house.start([program("msf_shell"), "-c", config, *words], ready=True, **options)

    def call(self, *words, **options):
        return self.house.call([program("msf_shell"), *words], **options)

    def diary(self):
        return self.diary_file.read_text().split("\n")[:-1] if self.diary_file.exists() else []

    def fails(self, config, code, *said):
        """Runs until it fails; every word of `said` is in one line of stderr."""
        done = self.call("-c", config)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        lines = [line for line in done.stderr.splitlines() if all(str(word) in line for word in said)]
        self.assertEqual(len(lines), 1, done.stderr)
        return done


class PluginCase(ShellCase):
    def counter(self, name, *defines, file=None, **entry):
        """lib<name>.so that counts, and its entry."""
        file = file or f"lib{name}.so"
        fresh = self.house.folder / f".{file}.new"
        flags = [f"-DNAME={name}", *(f"-D{word}" for word in defines), "-shared", "-fPIC"]
        self.house.compile(HERE / "counter_plugin.c", fresh, *flags)
        fresh.rename(self.house.folder / file)
        return {"svc_name": name, "svc_libs": file, **entry}

    def bad(self, body, name="bad", more="", **entry):
        """A service whose `msg_handler` does what `body` says."""
        source = self.house.folder / f"{name}.c"
        source.write_text("#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <pthread.h>\n#include <stdio.h>\n"
                          "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <msf_svc.h>\n" + more +
                          f"static s32 work(void *data, u32 len) {{ (void)data, (void)len; {body} }}\n"
                          f"struct msf_svc {name} = {{ .msg_handler = work }};\n")
        self.house.compile(source, self.house.folder / f"lib{name}.so", "-shared", "-fPIC", "-O0", "-Wno-infinite-recursion",
                           "-Wno-unused-function", "-Wno-return-type")
        return {"svc_name": name, "svc_libs": f"lib{name}.so", **entry}

    def careless(self, name, **entry):
        """A service that leaves a descriptor and a pool of memory."""
        source = self.house.folder / f"{name}.c"
        source.write_text("""
            #include <fcntl.h>
            #include <msf_mempool.h>
            #include <msf_svc.h>
            static s32 on_init(void *data, u32 len)
            {
                struct msf_mempool *pool = msf_mempool_create_prv(-1, 0);
                (void)data, (void)len;
                return open("/dev/zero", O_RDONLY) >= 0 && msf_mempool_get(pool, 64) ? 0 : -1;
            }
            struct msf_svc NAME = { .init = on_init };
        """.replace("NAME", name))
        self.house.compile(source, self.house.folder / f"lib{name}.so", "-shared", "-fPIC")
        return {"svc_name": name, "svc_libs": f"lib{name}.so", **entry}

    def thrower(self, **entry):
        """A service in C++ that throws what nobody catches."""
        source = self.house.folder / "bad.cc"
        source.write_text('#include <stdexcept>\n#include <msf_svc.h>\n'
                          'static s32 work(void *, u32) { throw std::runtime_error("nobody catches this"); }\n'
                          'extern "C" { struct msf_svc bad = { nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, work }; }\n')
        done = self.house.call(["g++", "-shared", "-fPIC", "-I", STAGE / "include", source, "-o", self.house.folder / "libbad.so"])
        self.assertEqual(done.returncode, 0, done.stderr)
        return {"svc_name": "bad", "svc_libs": "libbad.so", **entry}

    def ask(self, config, *words, code=0):
        """A command; its answer when it goes well, else what stderr says."""
        done = self.call("-c", config, *words)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done.stdout if code == 0 else done.stderr

    def listed(self, config):
        """The services by name, and the whole document."""
        document = json.loads(self.ask(config, "list", "--json"))
        return {service["name"]: service for service in document["services"]}, document

    def log_text(self):
        return self.house.text("msf_shell.trial.log")

    def ends(self, child, code=0):
        status, _, said = self.house.end(child)
        self.assertEqual(status, code, said)
        self.assertEqual([path.name for path in self.house.run.iterdir()], [])
        return said

    @contextlib.contextmanager
    def talk(self, refused=False):
        """Asks over one connection, as often as one likes; a refusal is a failure unless it is expected."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(30)
            peer.connect(str(self.house.run / "msf_shell.trial.sock"))
            with peer.makefile() as reader:
                def ask(**request):
                    peer.sendall((json.dumps(request) + "\n").encode())
                    answer = json.loads(reader.readline())
                    if not refused:
                        self.assertNotIn("error", answer)
                    return answer
                yield ask

    def mapped(self, child):
        """The copies of libraries in the process."""
        maps = Path(f"/proc/{child.pid}/maps").read_text()
        return set(re.findall(r"\.generation\.(\S+)\.so", maps))


class IsolateCase(PluginCase):
    def lone(self, name, *defines, **entry):
        """A counter in a process of its own."""
        return self.counter(name, *defines, isolate=True, **entry)

    def bad(self, body, name="bad", more="", **entry):
        """A service whose `msg_handler` does what `body` says, in a process of its own."""
        return super().bad(body, name, more, **{"isolate": True, **entry})

    def pid_of(self, config, name="a", other_than=None):
        """The process of a service that is up."""
        def found():
            row = self.listed(config)[0].get(name, {})
            return row.get("pid") if row.get("pid") != other_than and "why" not in row else None
        return wait_for("its process", found)

    def own_log(self, name="a"):
        return self.house.text(f"msf_shell.trial.{name}.log")

    def children(self, child):
        found = []
        for task in Path(f"/proc/{child.pid}/task").iterdir():
            try:
                found += [int(pid) for pid in (task / "children").read_text().split()]
            except OSError:
                pass        # a thread that has just ended
        return found


def rust(package):
    """The library of a Rust plugin, built here: it is no part of the stage tree."""
    if package not in BUILT:
        profile = os.environ.get("MSF_PLUGIN_PROFILE", "dev")
        done = subprocess.run(["cargo", "build", "-q", "--message-format=json", "--profile", profile, "-p", package], cwd=ROOT,
                              check=True, stdout=subprocess.PIPE, text=True)
        messages = (json.loads(line) for line in done.stdout.splitlines())
        files = [name for message in messages if message.get("target", {}).get("name") == package.replace("-", "_")
                 for name in message.get("filenames", [])]
        BUILT[package] = Path(next(name for name in files if name.endswith(".so")))
    return BUILT[package]


def hostile(case, **entry):
    """The Rust plugin that does what makes libraries hard to unmap and hosts fall over, and its entry."""
    shutil.copy2(rust("msf-test-plugin"), case.house.folder / "libhostile.so")
    return {"svc_name": "hostile", "svc_libs": "libhostile.so", **entry}


BUILT = {}
# Functions for `bad`: one that needs ever more stack, and a thread that faults.
CRASHES = ("s32 deeper(int depth);\n"
           "s32 deeper(int depth) { volatile char room[4096]; memset((char *)room, depth & 1, 4096); "
           "return room[depth & 7] == 7 ? 1 : deeper(depth + 1) + room[1]; }\n"
           "void *crash(void *arg);\nvoid *crash(void *arg) { (void)arg; *(volatile int *)16 = 1; return NULL; }\n")

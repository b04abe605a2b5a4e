"""check_layers refuses what it must: each law is broken once, alone, and seen to be noticed."""

import unittest
from pathlib import Path

import check_layers as layers


def crates(**changes):
    """A workspace that keeps the law, with some crates' dependencies replaced."""
    packages = {name: (f"lib/{name}", {"normal": set(law)}) for name, law in layers.LAW.items()}
    for name, dependencies in changes.items():
        name = name.replace("_", "-")
        packages[name] = (packages.get(name, (f"lib/{name}",))[0], {"normal": set(dependencies)})
    return packages


def floors(path, text):
    return list(layers.broken_floors({Path(path): layers.code(text)}))


class Arrows(unittest.TestCase):
    def test_the_law_itself_is_kept(self):
        self.assertEqual([], list(layers.broken_arrows(crates())))

    def test_a_shell_that_links_the_core_is_refused(self):
        found = list(layers.broken_arrows(crates(msf_shell=["msf-sys", "msf-core"])))
        self.assertEqual(1, len(found))
        self.assertIn("msf-shell -> msf-core", found[0])

    def test_a_pure_crate_that_uses_another_is_refused(self):
        self.assertIn("msf-wire -> msf-conf", list(layers.broken_arrows(crates(msf_wire=["msf-conf"])))[0])

    def test_a_build_dependency_is_an_arrow_too(self):
        packages = crates()
        packages["msf-agent"][1]["build"] = {"msf-client"}
        self.assertIn("msf-agent -> msf-client", list(layers.broken_arrows(packages))[0])

    def test_third_party_crates_are_no_arrows(self):
        self.assertEqual([], list(layers.broken_arrows(crates(msf_core=["mio", "libc"]))))

    def test_a_crate_without_a_place_is_refused(self):
        self.assertIn("no place", list(layers.broken_arrows(crates(msf_extra=[])))[0])

    def test_a_rust_plugin_may_use_sys_only(self):
        packages = {**crates(), "hello": ("plugins/hello", {"normal": {"msf-sys"}})}
        self.assertEqual([], list(layers.broken_arrows(packages)))
        packages["hello"] = ("plugins/hello", {"normal": {"msf-core"}})
        self.assertIn("hello -> msf-core", list(layers.broken_arrows(packages))[0])

    def test_a_dev_dependency_is_reported_not_refused(self):
        packages = crates()
        packages["msf-wire"][1]["dev"] = {"msf-client"}
        self.assertEqual([], list(layers.broken_arrows(packages)))
        self.assertEqual(1, len(list(layers.odd_dev_arrows(packages))))


class Floors(unittest.TestCase):
    def test_a_lower_floor_may_be_used(self):
        self.assertEqual([], floors("lib/core/src/event/reactor.rs", "use crate::{timer::Wheel, sys::Fd};"))

    def test_a_higher_floor_is_refused(self):
        self.assertIn("timer uses event", floors("lib/core/src/timer/mod.rs", "use crate::event::Reactor;")[0])

    def test_a_higher_floor_inside_a_group_is_refused(self):
        found = floors("lib/core/src/log/sink.rs", "use crate::{sys::{map::Map, place}, process::{Claim}};")
        self.assertEqual(["lib/core/src/log/sink.rs: log uses process, which lies above it"], found)

    def test_a_path_in_the_middle_of_code_is_seen(self):
        self.assertIn("mem uses svc", floors("lib/core/src/mem/pool.rs", "fn f() { crate::svc::load(); }")[0])

    def test_super_is_followed_to_the_root(self):
        self.assertIn("log uses event", floors("lib/core/src/log/sink.rs", "use super::super::event::Reactor;")[0])
        self.assertEqual([], floors("lib/core/src/log/sink.rs", "use super::event::Record;"))

    def test_super_in_an_inline_module_means_the_file(self):
        self.assertEqual([], floors("lib/core/src/timer/mod.rs", "mod tests { use super::event::X; }"))

    def test_comments_and_strings_are_not_code(self):
        text = '// use crate::event::X;\n/* crate::svc::Y */ const A: &str = "crate::svc::Z"; const C: char = \'"\';'
        self.assertEqual([], floors("lib/core/src/log/mod.rs", text))

    def test_edge_and_control_are_strangers(self):
        self.assertIn("never name", floors("agent/src/edge/librpc.rs", "use crate::control::Registry;")[0])
        self.assertIn("never name", floors("agent/src/control/registry.rs", "use crate::edge::librpc;")[0])

    def test_core_of_the_agent_sees_counters_only(self):
        self.assertEqual([], floors("agent/src/core/routes.rs", "use crate::observe::counter::Counter;"))
        self.assertIn("core uses edge", floors("agent/src/core/routes.rs", "use crate::edge::Session;")[0])

    def test_a_room_may_name_the_room_it_is_in_but_no_higher_one_beside_it(self):
        self.assertEqual([], floors("daemon/src/run/child/start.rs", "use crate::run::driver::Driver;"))
        found = floors("daemon/src/run/child/start.rs", "use crate::run::tell::herald::Herald;")
        self.assertEqual(["daemon/src/run/child/start.rs: run::child uses run::tell, which lies above it"], found)
        self.assertEqual([], floors("daemon/src/run/driver.rs", "use super::tell::herald::Herald;"))

    def test_a_room_without_a_floor_is_refused(self):
        self.assertIn("no floor", floors("lib/core/src/misc.rs", "")[0])


class OtherLaws(unittest.TestCase):
    def test_a_lock_in_the_agent_is_refused(self):
        self.assertEqual(1, len(list(layers.locks({Path("agent/src/core/a.rs"): "use std::sync::Mutex;"}))))
        self.assertEqual([], list(layers.locks({Path("lib/core/src/log/a.rs"): "use std::sync::Mutex;"})))

    def test_a_line_number_in_the_documentation_is_refused(self):
        for text in ("see reactor.rs:42", "agent/src/main.rs#L7", "on line 12"):
            self.assertEqual(1, len(list(layers.cited("doc/a.md", text))), text)
        self.assertEqual([], list(layers.cited("doc/a.md", "127.0.0.1:9999, `event/reactor.rs`, deadline 5")))

    def test_a_long_function_is_reported(self):
        text = "fn long() {\n" + "    step();\n" * 80 + "}\nfn short() {}\n"
        found = list(layers.long_functions({Path("lib/x.rs"): text}))
        self.assertEqual(["lib/x.rs: fn long has 82 lines"], found)


if __name__ == "__main__":
    unittest.main()

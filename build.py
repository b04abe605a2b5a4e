#!/usr/bin/env python3
"""The front door of libmsf: builds, tests, demonstrates, installs.

    ./build.py              build the stage tree build/<target>/{bin,lib,include,etc}
    ./build.py demo         build, then run the whole house once
    ./build.py test         build, then run every test
    ./build.py --help       the rest

Python 3.9, standard library only. What is missing is installed when we are root on Debian, else named.
"""

import argparse
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "script"))

from builder import machine, report, suite, target                              # noqa: E402
from builder.command import BuildError, fail, output, run, say                  # noqa: E402
from builder.installation import LICENCES, Installation                           # noqa: E402
from builder.stage import Stage, version                                # noqa: E402
from builder.suite import Step                                          # noqa: E402

ACTIONS = {
    "build": "build the stage tree (the default)",
    "demo": "build, then run agent, shell, daemon and workers together and watch them survive",
    "test": "build, then run every check and test; with --target, what runs under qemu-user",
    "check": "formatting, clippy, layers and the C ABI only",
    "bench": "the benchmarks, each beside its peers; rewrites test/bench/report.md",
    "soak": "the long load tests",
    "pair": "agent, msf_upnp and msf_dlna together; with --target under qemu-user",
    "install": "install the stage tree under --prefix",
    "uninstall": "remove what install put there",
    "package": "a tarball of the stage tree",
    "clean": "remove the stage trees and cargo's output",
}


def main():
    options = arguments().parse_args()
    if options.debug:
        options.profile = "dev"
    try:
        return ACTION[options.action](options) or 0
    except BuildError as error:
        return fail(error)
    except KeyboardInterrupt:
        return 130


def arguments():
    actions = "\n".join(f"  {name:<11}{what}" for name, what in ACTIONS.items())
    parser = argparse.ArgumentParser(prog="build.py", usage="./build.py [action] [options]", epilog=f"actions:\n{actions}",
                                     description="Builds, tests, demonstrates and installs libmsf.",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", nargs="?", default="build", choices=ACTIONS, metavar="action")
    parser.add_argument("--target", help=f"one of {', '.join(target.TARGETS)}; this machine's by default")
    parser.add_argument("--profile", default="release", choices=("release", "gateway"), help="gateway is the small one")
    parser.add_argument("--debug", action="store_true", help="unoptimised, with assertions")
    parser.add_argument("--prefix", default="/usr/local", help="where install puts things (default /usr/local)")
    parser.add_argument("--destdir", default="", help="install into this root folder instead of /")
    parser.add_argument("--only", action="append", metavar="STEP", help="test, check, bench: run this step only; may repeat")
    return parser


def built(options):
    """The stage tree, made anew where anything changed."""
    machine.prepare("build")
    stage = Stage(target.named(options.target), options.profile)
    stage.build(machine.Rust())
    return stage


def native(options):
    if options.target and not target.named(options.target).native:
        raise BuildError(f"{options.action} runs programs of this machine; {options.target} is another")
    return built(options)


def build(options):
    built(options).report()


def demo(options):
    machine.prepare("demo")
    run([sys.executable, "script/demo.py", native(options).root])


def check(options):
    stage = native(options)
    machine.Rust().components()
    return suite.run_all(chosen(check_steps(stage), options))


def test(options):
    if not target.named(options.target).native:
        return test_abroad(options)
    machine.prepare("build", "demo", "test")
    if not options.only or "interop" in options.only:
        machine.prepare("interop")
    machine.Rust().components()
    stage = native(options)
    stage.report()
    return suite.run_all(chosen(check_steps(stage) + test_steps(stage), options))


def test_abroad(options):
    """What can be tested of another machine's tree under qemu-user: the pair of programs, every C test, and, where this
    machine's tree is built as well, what goes on between programs of both."""
    stage = built(options)
    stage.report()
    runner = stage.target.runner()
    return suite.run_all(chosen([
        Step("pair", [sys.executable, "script/demo_pair.py", stage.root, *runner]),
        Step("c", [sys.executable, "test/c/run.py", "--target", stage.target.triple], env=staged(stage), limit=1500),
        *between(Stage(target.named(None)), stage),
    ], options))


def between(here, abroad):
    if "armv7" not in abroad.target.triple or not (here.lib / "libmsf.so").exists():
        return []
    env = staged(here) | {"MSF_STAGE_ARMV7": str(abroad.root)}
    return [Step("between", [sys.executable, "test/c/run.py", "shm_mixed"], env=env)]


def check_steps(stage):
    python = sys.executable
    return [
        Step("format", ["cargo", "fmt", "--all", "--check"]),
        Step("layers", [python, "script/check_layers.py"]),
        Step("licences", [python, "script/check_licences.py"]),
        Step("clippy", ["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], limit=900, behind=True),
        Step("doc", ["cargo", "doc", "--package", "msf-core", "--no-deps"], env={"RUSTDOCFLAGS": "-D warnings"}, behind=True),
        Step("rows", [python, "script/check_rows.py"]),
        Step("abi", [python, "script/check_abi.py"], env=staged(stage)),
        Step("abi-self", [python, "script/check_abi.py", "--self-test"], env=staged(stage), behind=True),
    ]


def test_steps(stage):
    python, env = sys.executable, staged(stage)
    # Test programs of the crates that use libmsf.so find the staged one.
    rust = {**env, "LD_LIBRARY_PATH": str(stage.lib)}
    # A million calls; the step `cargo` has a tenth of them. Not optimised at all they take a minute.
    simulation = ["cargo", "test", "--config", "profile.dev.package.msf-agent.opt-level=1",
                  "--package", "msf-agent", "--bin", "msf_agent", "simulation"]
    return [
        Step("compile", [python, "script/cargo_tests.py", "--build"], env=rust, limit=1200, behind=True),
        Step("compile-sim", [*simulation, "--no-run"], env=rust, limit=600, behind=True),
        Step("compile-load", [python, "test/soak/run.py", "--stage", stage.root, "--build"], limit=600, behind=True),
        Step("sizes", [python, "script/check_sizes.py", stage.root]),
        Step("script", [python, "-m", "unittest", "discover", "-v", "-s", "script", "-p", "test_*.py"], env=env),
        Step("system", [python, "test/system/run.py"], env=env),
        # The limit leaves time to fetch and build the peers, once.
        Step("interop", [python, "test/interop/run.py"], env=env, limit=400),
        Step("demo", [python, "script/demo.py", stage.root], env=env, limit=60),
        Step("pair", [python, "script/demo_pair.py", stage.root], env=env, limit=60),
        Step("c", [python, "test/c/run.py"], env=env),
        Step("cargo", [python, "script/cargo_tests.py"], env=rust, limit=1200, alone=True),
        Step("simulation", simulation, env={**rust, "MSF_SIMULATION_SEEDS": "100"}, limit=600, alone=True),
        Step("soak", [python, "test/soak/run.py", "--stage", stage.root, "--seconds", "3"], env=env, alone=True),
    ]


def staged(stage):
    """How a test learns where the tree under test lies."""
    return {"MSF_STAGE": str(stage.root)}


def chosen(steps, options):
    if not options.only:
        return steps
    unknown = set(options.only) - {step.name for step in steps}
    if unknown:
        raise BuildError(f"no step named {', '.join(unknown)}; there are {', '.join(step.name for step in steps)}")
    return [step for step in steps if step.name in options.only]


def bench(options):
    machine.prepare("build", "test", "bench")
    scripts = {script.parent.name: script for script in sorted((ROOT / "test/bench").glob("*/run.py"))}
    if unknown := set(options.only or ()) - set(scripts):
        raise BuildError(f"no benchmark named {', '.join(unknown)}; there are {', '.join(scripts)}")
    stage, missed = native(options), []
    with tempfile.TemporaryDirectory(prefix="msf-bench-") as rows:
        for name in options.only or scripts:
            try:
                run([sys.executable, scripts[name]], env={**staged(stage), "MSF_BENCH_ROWS": rows})
            except BuildError as error:
                missed.append(f"{name}: {error}")
        report.write(rows, (output(["git", "describe", "--always", "--dirty"]) or "no commit").strip())
    say(f"the table is in {report.REPORT.relative_to(ROOT)}")
    for line in missed:
        say(f"MISSED {line}")
    return 1 if missed else 0


def soak(options):
    machine.prepare("build", "test", "interop")
    stage = native(options)
    run([sys.executable, "test/soak/run.py", "--stage", stage.root], env=staged(stage))
    run([sys.executable, "test/interop/run.py", "--long"], env=staged(stage))


def pair(options):
    stage = built(options)
    stage.report()
    run([sys.executable, "script/demo_pair.py", stage.root, *stage.target.runner()])


def install(options):
    stage = Stage(target.named(options.target), options.profile)
    # `sudo make install` of a finished tree must not need, nor fetch, a toolchain for root.
    if not stage.fresh():
        stage = built(options)
    Installation(options.prefix, options.destdir).install(stage)


def uninstall(options):
    Installation(options.prefix, options.destdir).uninstall()


def package(options):
    stage = built(options)
    path = pack(stage, ROOT / "build")
    say(f"packaged {path.relative_to(ROOT)} ({path.stat().st_size:,} bytes)")


def pack(stage, folder):
    """Writes the tarball of a stage tree into `folder`; returns its path."""
    name = f"msf-{version()}-{stage.root.name}"
    path = folder / f"{name}.tar.gz"
    pages = [str(page.relative_to(ROOT)) for page in sorted((ROOT / "doc").rglob("*.md"))]
    with tarfile.open(path, "w:gz") as archive:
        for part in (stage.bin, stage.lib, stage.include, stage.etc):
            archive.add(part, f"{name}/{part.name}", filter=visible)
        for text in (*LICENCES, *pages):
            archive.add(ROOT / text, f"{name}/{text}", filter=visible)
    return path


def visible(member):
    """Half-written files stay out, and so does who built it."""
    if Path(member.name).name.startswith("."):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def clean(_options):
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    if shutil.which("cargo"):
        run(["cargo", "clean"])
    else:
        shutil.rmtree(ROOT / "target", ignore_errors=True)


ACTION = {name: globals()[name] for name in ACTIONS}

if __name__ == "__main__":
    sys.exit(main())

"""What must be there before a run: Debian's servers, and what is built here."""

import os
import shutil
import subprocess
import sys

import common

# common.py looks where only root's PATH does.
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def missing(contenders, rows):
    """Debian packages of the commands that are not there."""
    wanted = {"wrk": "wrk"}
    for part in [*contenders, *rows]:
        wanted |= part.needs
    return sorted({package for command, package in wanted.items() if shutil.which(command, path=PATH) is None})


def install(packages):
    """Installs them if that is allowed; otherwise says what to do and ends the bench. Starts no service."""
    if not packages:
        return
    names = " ".join(packages)
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"These Debian packages are missing: {names}. Install them, or leave servers out with --only.")
    print(f"installing {names}", flush=True)
    # RUNLEVEL=1 keeps the packages from starting their services.
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        if subprocess.run(["apt-get", *words], env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode != 0:
            sys.exit(f"apt-get {words[0]} failed; these packages are missing: {names}")


def build(binary, with_forebay):
    """Builds the references, and Forebay unless a binary is named or nobody asked for it."""
    manifest = common.ROOT / "benches" / "references" / "Cargo.toml"
    command = ["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", manifest]
    if shutil.which("cargo") is None:
        sys.exit("cargo is not installed: the origin and the references cannot be built (https://rustup.rs)")
    if subprocess.run(command, cwd=common.ROOT).returncode != 0:
        sys.exit("the references could not be built")
    if with_forebay:
        common.choose_forebay(binary)


def versions(contenders):
    """What the servers say of their versions."""
    questions = {"nginx": ["nginx", "-v"], "varnish": ["varnishd", "-V"], "haproxy": ["haproxy", "-v"]}
    questions |= {"ats": ["traffic_server", "-V"], "h2o": ["h2o", "-v"]}
    said = {}
    for name in {c.name for c in contenders} & set(questions):
        program, flag = questions[name]
        run = subprocess.run([common.program(program), flag], capture_output=True, text=True)
        said[name] = ((run.stdout + run.stderr).strip().splitlines() or ["?"])[0]
    return said

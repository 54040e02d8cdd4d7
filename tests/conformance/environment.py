"""Environments of Python with a package from PyPI, made once in Cargo's target folder."""

import subprocess
import venv

from . import node_under_test
from .process import Trouble, output


def having(package, version):
    """The folder of an environment that has this package in this version; made if it is not there."""
    place = node_under_test.target() / f"{package}-{version}"
    if not (place / "complete").exists():
        try:
            venv.create(place, clear=True, with_pip=True)
        except (subprocess.CalledProcessError, OSError) as error:
            raise Trouble(f"no environment for Python (Debian: python3-venv): {error}") from error
        pip = [place / "bin" / "python3", "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        output([*pip, f"{package}=={version}"])
        (place / "complete").touch()
    return place

"""Where real servers are: on the PATH, or in the folders of $FEA_ARCH_LIVE_BIN (separated like PATH).

``bash .ci/live_servers FOLDER`` installs them into ``FOLDER/bin``. A program that $FEA_ARCH_LIVE_REQUIRED names must be
there: a test that needs it fails instead of being skipped.
"""

from __future__ import annotations

import os
import shutil
import socket

import pytest


def program(name: str) -> str:
    """Return the path of a program, or skip the test with the reason."""
    places = os.pathsep.join(p for p in (os.environ.get("FEA_ARCH_LIVE_BIN"), os.environ.get("PATH")) if p)
    found = shutil.which(name, path=places)
    if found is None:
        if name in os.environ.get("FEA_ARCH_LIVE_REQUIRED", "").split():
            pytest.fail(f"{name} was installed but is not there")
        pytest.skip(f"{name} is not installed (PATH or FEA_ARCH_LIVE_BIN)")
    return found


def free_port() -> int:
    """Return a port of the loopback interface that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])

"""Runs a Python file or module that ends when its parent does: `child.py FILE ARGS` or `child.py -m MODULE ARGS`.

The language host starts programs and policy packs through it, so that none outlives a host that was killed. The child
asks for this itself, because code between fork and exec (`preexec_fn`) isn't safe in a process that runs gRPC.
"""

import ctypes
import os
import platform
import runpy
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send this signal when the parent ends (Linux; elsewhere nothing)."""
    if platform.system() != "Linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Become the named program."""
    end_with_parent()
    arguments = sys.argv[1:]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()

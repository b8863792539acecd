#!/usr/bin/env bash
# openvino 2026.4.1 (Linux, CPython 3.11), seen on 2026-11-30.
#
# Behaviour: loading OpenVINO's CPU plugin replaces the alternate signal stack (sigaltstack(2)) of the calling thread.
# The stack that faulthandler had set is no longer in use while the plugin lives; asking a Core for a property of the
# CPU is enough. The documentation of openvino.Core does not mention it.
#
# Why it matters here: CPython installs its signal handlers with SA_ONSTACK, so SIGTERM, SIGALRM (time limits of tests)
# and the reports of faulthandler run on whatever stack the plugin set. A process that keeps several networks and
# releases some of them has been ended by SIGSEGV at its next signal. features/backbones/runtime/openvino_runner.py
# therefore puts the stack back after each plugin was loaded.
#
# The script exits with 0 while that is so, and with 1 when loading the plugin leaves the stack alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "openvino==2026.4.1" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PYTHON'
import ctypes
import faulthandler
import sys

# No telemetry from this script.
sys.modules["openvino_telemetry"] = None
import openvino  # noqa: E402


class Stack(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def signal_stack():
    stack = Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    return stack.address, stack.size


faulthandler.enable()
before = signal_stack()
core = openvino.Core()
created = signal_stack()
core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
loaded = signal_stack()
print("faulthandler's stack kept by Core():", created == before)
print("faulthandler's stack kept by the CPU plugin:", loaded == before)
print("sizes:", before[1], "->", loaded[1])
sys.exit(loaded == before)
PYTHON

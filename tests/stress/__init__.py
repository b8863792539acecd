"""Runs that are killed, starved of disk, doubled and damaged, and then compared with one that was left alone.

``python -m tests.stress.run --kills 50``; see :mod:`tests.stress.run`. Not part of ``make test``.
"""

"""Servers of a run: waited for, and ended with it."""

import sys
import tempfile
import unittest
from pathlib import Path

from conformance import node_under_test
from conformance.process import Trouble, output, server

SERVES = "import os, time; print('serving on', os.getpid(), flush=True); time.sleep(60)"


class Server(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.log = Path(directory.name) / "log"

    def test_it_is_gone_after_the_block_even_if_that_failed(self):
        with self.assertRaises(ZeroDivisionError), server([sys.executable, "-c", SERVES], self.log, r"on (\d+)") as pid:
            self.assertTrue(Path(f"/proc/{pid}").exists())
            raise ZeroDivisionError
        self.assertFalse(Path(f"/proc/{pid}").exists())

    def test_one_that_ends_at_once_is_told_with_what_it_said(self):
        command = [sys.executable, "-c", "print('no such port'); raise SystemExit(3)"]
        with self.assertRaisesRegex(Trouble, "status 3:\nno such port"), server(command, self.log, r"on (\d+)"):
            pass

    def test_one_that_says_nothing_is_not_waited_for_for_ever(self):
        with self.assertRaisesRegex(Trouble, "does not say"):
            with server([sys.executable, "-c", SERVES], self.log, "never (.)", seconds=0.2):
                pass

    def test_a_command_that_fails_or_is_not_there_is_told(self):
        with self.assertRaisesRegex(Trouble, "status 4"):
            output([sys.executable, "-c", "raise SystemExit(4)"])
        with self.assertRaisesRegex(Trouble, "must be installed"):
            output(["no-such-program-anywhere"])


class Configuration(unittest.TestCase):
    def test_only_options_brings_the_options(self):
        self.assertIn("include = []", node_under_test.configuration("default", 1))
        self.assertIn("options.toml", node_under_test.configuration("options", 1))

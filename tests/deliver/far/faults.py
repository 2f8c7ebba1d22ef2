"""How a far side fails. It obeys a file, read before each answer, so that a test can change its mind:

    rate 0.2 500 429 close lost    every fifth answer is one of these, by chance
    next 500 lost                  the next answers, one each, then as above

and writes what it did to another file, a JSON object a line, by which a test counts effects."""

import json
import os
import random
import threading


class Faults:
    def __init__(self, folder):
        self.orders = os.path.join(folder, "orders")
        self.record = open(os.path.join(folder, "record"), "a", buffering=1)
        self.lock = threading.Lock()
        self.random = random.Random(int(os.environ.get("FAR_SEED", "1")))

    def choose(self, possible):
        """The fault of this answer, of those possible here; None for none."""
        with self.lock:
            try:
                with open(self.orders) as file:
                    lines = [line.split() for line in file]
            except FileNotFoundError:
                return None
            for line in lines:
                if line and line[0] == "next":
                    for mode in line[1:]:
                        if mode == "ok" or mode in possible:
                            line.remove(mode)
                            self._write(lines)
                            return None if mode == "ok" else mode
                if line and line[0] == "rate" and self.random.random() < float(line[1]):
                    modes = [mode for mode in line[2:] if mode in possible]
                    if modes:
                        return self.random.choice(modes)
        return None

    def _write(self, lines):
        with open(self.orders + ".new", "w") as file:
            for line in lines:
                if line[0] != "next" or len(line) > 1:
                    file.write(" ".join(line) + "\n")
        os.replace(self.orders + ".new", self.orders)

    def note(self, **what):
        """An effect, on disk before the answer leaves."""
        self.record.write(json.dumps(what) + "\n")

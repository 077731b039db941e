"""The difference between two steps' main.cpp is the lesson: what is carried over stays byte for byte as it is."""

import re
import unittest

from tests.docs.document import ROOT
from tests.docs.snippets import regions_of

# The marked regions that a step takes over unchanged from the step it builds on. All others that both have, differ.
CARRIED_OVER = {
    "step2_redis_counter": ["login", "logout"],
    "step3_ttl": ["login", "logout"],
    "step4_firestore": [],
    "step5_sessionstore": [],
}


class CarriedOver(unittest.TestCase):
    def test_regions_are_byte_identical_and_in_the_same_order(self):
        pairs = dict(re.findall(r"add_step\((\w+) BUILDS_ON (\w+)\)", (ROOT / "CMakeLists.txt").read_text()))
        self.assertEqual(pairs.keys(), CARRIED_OVER.keys())
        for step, before in pairs.items():
            old, new = (regions_of((ROOT / name / "main.cpp").read_text(), name) for name in (before, step))
            with self.subTest(step=step, before=before):
                self.assertEqual([name for name in old if new.get(name) == old[name]], CARRIED_OVER[step])
                self.assertEqual([name for name in old if name in new], [name for name in new if name in old])


if __name__ == "__main__":
    unittest.main()

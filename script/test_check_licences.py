"""check_licences reads SPDX expressions as they are meant."""

import unittest

from check_licences import acceptable, listed

ALLOWED = {"MIT", "Apache-2.0", "Zlib"}


class Expressions(unittest.TestCase):
    def test_one_acceptable_side_of_or_is_enough(self):
        for text in ("MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "Apache-2.0 WITH LLVM-exception"):
            self.assertTrue(acceptable(text, ALLOWED), text)

    def test_both_sides_of_and_must_be_acceptable(self):
        self.assertTrue(acceptable("(MIT OR GPL-3.0) AND Zlib", ALLOWED))
        self.assertFalse(acceptable("(MIT OR Apache-2.0) AND GPL-3.0", ALLOWED))

    def test_a_strange_or_missing_licence_is_refused(self):
        for text in ("", "GPL-2.0-only", "MIT MIT"):
            self.assertFalse(acceptable(text, ALLOWED), text)

    def test_lists_are_read_from_toml(self):
        self.assertEqual({"a", "b"}, listed('x = 1\nallow = [\n  "a",\n  "b",\n]\n', "allow"))


if __name__ == "__main__":
    unittest.main()

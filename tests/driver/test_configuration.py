"""A configuration without one of the libraries ends with the name of its Debian package."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARIES = (ROOT / "cmake" / "dependencies.cmake").read_text()
HEADERS_FOLDER = "/usr/include"

# Does not know the module that the environment variable HIDDEN names.
PKG_CONFIG = """\
#!/bin/sh
for argument; do
  if [ "$argument" = "$HIDDEN" ]; then exit 1; fi
done
exec pkg-config "$@"
"""


class Configuration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        files = tempfile.TemporaryDirectory()
        cls.addClassCleanup(files.cleanup)
        cls.build = pathlib.Path(files.name, "build")
        cls.pkg_config = pathlib.Path(files.name, "pkg-config")
        cls.pkg_config.write_text(PKG_CONFIG)
        cls.pkg_config.chmod(0o755)

    def configure(self, *definitions, hidden=""):
        """What CMake says. What it has found is forgotten each time, what it knows of the compiler is not: that takes seconds."""
        (self.build / "CMakeCache.txt").unlink(missing_ok=True)
        return subprocess.run(
            ["cmake", "-S", ROOT, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
             f"-DPKG_CONFIG_EXECUTABLE={self.pkg_config}", *definitions],
            capture_output=True, text=True, timeout=60, env=os.environ | {"HIDDEN": hidden}, check=False)

    def expect_missing(self, name, package, answer):
        # CMake breaks long lines.
        message = " ".join(answer.stderr.split())
        self.assertNotEqual(answer.returncode, 0)
        self.assertIn(f"{name} is missing. Install it: apt-get install {package}, or run ./tutorial setup", message)
        for one in package.split():
            self.assertRegex((ROOT / "driver" / "packages.txt").read_text(), rf"(?m)^build +{one} ", "not installed by setup")

    def test_without_a_library_of_pkg_config_it_names_the_package(self):
        modules = re.findall(r"(?m)^require_module\((\w+) (\S+) (\S+)\)$", LIBRARIES)
        self.assertGreaterEqual(len(modules), 6)
        for name, module, package in modules:
            with self.subTest(name):
                self.expect_missing(name, package, self.configure(hidden=module))

    def test_without_a_header_it_names_the_package(self):
        headers = re.findall(r"(?m)^require_header\((\w+) (\S+) (\S+)\)$", LIBRARIES)
        self.assertGreaterEqual(len(headers), 4)
        for name, _, package in headers:
            with self.subTest(name):
                others = [f"-D{other}_INCLUDE_DIR={HEADERS_FOLDER}" for other, _, _ in headers if other != name]
                self.expect_missing(name, package, self.configure(f"-DCMAKE_IGNORE_PATH={HEADERS_FOLDER}", *others))

    def test_without_what_cmake_finds_by_itself_it_names_the_package(self):
        found = set(re.findall(r"(?m)^find_package\((\w+)", LIBRARIES))
        packages = {"PkgConfig": ("pkg-config", "pkg-config"),
                    "GTest": ("GoogleTest", "libgtest-dev libgmock-dev")}
        self.assertEqual(found - {"Threads"}, packages.keys())  # threads come with the compiler
        for name, (called, package) in packages.items():
            with self.subTest(name):
                self.expect_missing(called, package, self.configure(f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON"))

    def test_without_python_it_names_the_package(self):
        self.expect_missing("Python", "python3", self.configure("-DPYTHON3=OFF"))


if __name__ == "__main__":
    unittest.main()

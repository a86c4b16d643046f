"""The package as `cmake --install` leaves it: whole, below 2 MB, and where an interpreter finds it."""

import glob
import os
import shutil
import subprocess
import sys
import unittest

from package_testing import PACKAGE, PackageTest

LIMIT = 2_000_000
BUILD = os.path.dirname(os.path.realpath(PACKAGE))


class InstallTest(PackageTest):
    def test_installed(self):
        if not os.path.exists(os.path.join(BUILD, "cmake_install.cmake")) or shutil.which("cmake") is None:
            self.skipTest("no build tree with rules to install")
        install = ["cmake", "--install", BUILD, "--component", "python", "--prefix", self.path("root")]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        found = glob.glob(self.path("root/**/bytegate/__init__.py"), recursive=True)
        self.assertEqual(len(found), 1)
        package = os.path.dirname(found[0])
        files = [os.path.join(folder, name) for folder, _, names in os.walk(package) for name in names]
        self.assertLess(sum(os.path.getsize(file) for file in files), LIMIT)
        self.assertFalse([file for file in files if os.path.islink(file)])
        for name in ("py.typed", "__init__.pyi", "_core.pyi", "torch/quantize.py", "onnx/convert.py",
                     "torch_to_safetensors.py"):
            self.assertIn(os.path.join(package, name), files)
        extension = [file for file in files if file.endswith(".so")]
        self.assertEqual(len(extension), 1)
        with open(extension[0], "rb") as file:
            self.assertNotIn(os.path.dirname(BUILD).encode(), file.read())  # no path of the build tree
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(package), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, "-m", "bytegate", "info"], env=environment, cwd=self.folder, check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("selected:", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])

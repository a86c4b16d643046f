#!/usr/bin/env python3
"""performance_test.py: docs/performance.md is what scripts/performance.py writes, and result sets of several CPUs are
kept and shown beside each other. Benchmarks are programs that print made-up times."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "scripts"))
import performance_machine  # noqa: E402
import performance_peers  # noqa: E402
import performance_plots  # noqa: E402
import performance_results  # noqa: E402
from performance_measure import LINEAR, LSTM, name_of  # noqa: E402

# Prints the benchmarks that it is asked for, on the backends `fast` and `plain`; a layer takes `us` on the first.
BENCHMARK = """#!{python} -SI
import json, re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, {scripts!r})
from performance_measure import name_of
us, known = {us}, {known!r}
arguments = [a.removeprefix("--").partition("=")[::2] for a in sys.argv[1:]]
if refused := [key for key, _ in arguments if not key.startswith("benchmark_") and key not in known]:
    sys.exit(f"unrecognized command-line flag: {{refused[0]}}")
names, threads = [], dict(arguments).get("threads", 1)
for backend in ("fast", "plain"):
    for kind, shape in arguments:
        letters = {{"gemm": "mkn", "lstm_step": "bh", "quantize_rows": "mk"}}.get(kind)
        sizes = shape.split(",")
        if letters:
            names.append("/".join([kind, backend, *map(":".join, zip(letters, sizes))]))
        elif kind in ("linear", "lstm", "gru", "conv1d"):
            names.append(name_of(kind, backend, sizes, threads))
            names += [name_of(kind + "_f32", backend, sizes, threads)] if ("float", "") in arguments else []
    if "gemm" in known:
        names += [f"peak/{{backend}}", f"read/{{backend}}/bytes:16384", f"read/{{backend}}/bytes:1048576"]
        if backend == "fast":
            names += [f"{{form}}/fast/m:4/k:64/n:64" for form in ("tile_gemm", "vector_gemm")]
names = [n for n in names if re.search(dict(arguments).get("benchmark_filter", ""), n)]
if ("benchmark_list_tests", "") in arguments:
    print("\\n".join(names))
else:
    print(json.dumps({{"benchmarks": [
        {{"name": n, "real_time": us * (4 if "/plain" in n else 1), "time_unit": "us", "GMAC/s": 50, "GB/s": 20,
          "of_ceiling": 0.5}} for n in names]}}))
"""
LAYERS = ["linear", "lstm", "conv1d", "threads", "float"]
PEERS = """ONNX Runtime 9.9.0, 1 thread(s), median of 1 rounds in turn; ratio = peer time / our time (above 1: faster)
linear 1,1024,1024            ort-int8      26.0 us  ort-f32      80.0 us  onednn     146.0 us  | ours fast 20.0  \
plain 90.0 us  | vs ort-int8 {ratio:.2f}x, vs onednn 7.35x
gru    64,64,1,100,1          ort-f32      103.0 us  | ours fast 50.0  plain 200.0 us  | vs ort-f32 2.06x
geometric mean vs ort-int8 {ratio:.2f}x
"""


def script(*arguments):
    command = [sys.executable, SOURCE / "scripts/performance.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def made_up_set(model_name, us):
    """One part measured by one compiler, and no peers."""
    rows = {name_of("linear", "fast", LINEAR[0]): {"us": us, "GMAC": 0.001}}
    return {"machine": {"model_name": model_name, "cpus": 4, "caches": {"L1": "32K"}, "virtual": False},
            "backends": ["fast"], "layers": {"g++ 1.0": {"date": "2020-02-02", "seconds": 0.2, "rows": rows}}}


class Folder(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.results = self.folder / "results"
        self.results.mkdir()

    def build(self, name, us=10, layers=(*LAYERS, "gru")):
        """A build folder with the made-up benchmarks."""
        folder = self.folder / name
        (folder / "bench").mkdir(parents=True)
        compiler = folder / "c++"
        programs = {compiler: "#!/bin/sh\necho 'g++ (made up) 12.2.0'\n"}
        for program, known in (("bench_layers", layers), ("bench_kernels", ("gemm", "lstm_step", "quantize_rows"))):
            programs[folder / "bench" / program] = BENCHMARK.format(
                python=sys.executable, scripts=str(SOURCE / "scripts"), us=us, known=known)
        for path, text in programs.items():
            path.write_text(text)
            path.chmod(0o755)
        (folder / "CMakeCache.txt").write_text(f"CMAKE_BUILD_TYPE:STRING=Release\n"
                                               f"CMAKE_CXX_COMPILER:FILEPATH={compiler}\n")
        return folder

    def measure(self, build, *arguments, out="mine.json"):
        path = self.results / out
        done = script("measure", "--build", build, "--out", path, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return performance_results.load(path)

    def peers_files(self, *ratios):
        files = []
        for i, ratio in enumerate(ratios):
            files += ["--peers", self.folder / f"peers{i}.txt"]
            files[-1].write_text(PEERS.format(ratio=ratio))
        return files


def rounds(result, part):
    return {len(row["us"]) for row in performance_results.rows_of(result, part).values()}


class Measure(Folder):
    def test_a_run_leaves_the_parts_that_it_does_not_measure(self):
        self.measure(self.build("a"), "--rounds", 2)
        result = self.measure(self.build("b", us=30), "--rounds", 1, "--parts", "kernels")
        self.assertEqual(rounds(result, "kernels"), {1})
        for part in ("layers", "sweeps"):
            self.assertEqual(rounds(result, part), {2})
        name = name_of("linear", "fast", LINEAR[0])
        self.assertEqual(performance_results.rows_of(result, "layers")[name]["us"], [10, 10])
        self.assertEqual(performance_results.rows_of(result, "kernels")["peak/fast"]["us"], [30])

    def test_a_run_replaces_rounds_or_adds_to_them(self):
        self.measure(self.build("a"), "--rounds", 2, "--parts", "layers")
        more = self.build("b", us=30)
        name = name_of("lstm", "fast", LSTM[0])
        added = self.measure(more, "--rounds", 2, "--parts", "layers", "--add")
        self.assertEqual(performance_results.rows_of(added, "layers")[name]["us"], [10, 10, 30, 30])
        replaced = self.measure(more, "--rounds", 1, "--parts", "layers")
        self.assertEqual(performance_results.rows_of(replaced, "layers")[name]["us"], [30])
        longer = script("measure", "--build", more, "--out", self.results / "mine.json", "--parts", "layers", "--add",
                        "--seconds", 1)
        self.assertIn("measured for 0.2 s a row", longer.stderr)

    def test_another_cpu_leaves_a_set_alone(self):
        other = self.results / "other.json"
        performance_results.save(other, made_up_set("Acme Core 1", [5]))
        before = other.read_bytes()
        self.measure(self.build("a"), "--rounds", 1, "--parts", "kernels,layers")
        self.assertEqual(other.read_bytes(), before)

    def test_tile_products_are_kept(self):
        result = self.measure(self.build("a"), "--rounds", 1, "--parts", "kernels")
        self.assertLess({"tile_gemm/fast/m:4/k:64/n:64", "vector_gemm/fast/m:4/k:64/n:64"},
                        set(performance_results.rows_of(result, "kernels")))

    def test_layers_that_a_program_does_not_know_are_left_out(self):
        def kinds(result):
            return {name.split("/")[0] for name in performance_results.rows_of(result, "layers")}
        all_kinds = {"linear", "lstm", "gru", "conv1d"}
        with_gru = self.measure(self.build("a"), "--rounds", 1, "--parts", "layers")
        self.assertEqual(kinds(with_gru), all_kinds | {kind + "_f32" for kind in all_kinds})
        without = self.measure(self.build("b", layers=LAYERS), "--rounds", 1, "--parts", "layers")
        self.assertEqual(kinds(without), kinds(with_gru) - {"gru", "gru_f32"})
        plain = {name for name in performance_results.rows_of(with_gru, "layers") if "/plain/" in name}
        self.assertTrue(plain)
        self.assertFalse([name for name in plain if "_f32" in name])  # float is timed on the best backend alone

    def test_peers(self):
        build = self.build("a")
        result = self.measure(build, "--parts", "peers", *self.peers_files(1.5, 1.2, 1.4))
        (what, group), = result["peers"].items()
        self.assertEqual((what, group["threads"], group["rounds"], group["compiler"]),
                         ("ONNX Runtime 9.9.0, 1 thread(s)", 1, [1, 1, 1], "g++ 12.2.0"))
        row = group["rows"]["linear 1,1024,1024"]
        self.assertEqual(row["ratios"]["ort-int8"], [1.5, 1.2, 1.4])
        self.assertEqual(row["ours"], {"fast": [20.0] * 3, "plain": [90.0] * 3})
        self.assertEqual(group["rows"]["gru 64,64,1,100,1"]["us"], {"ort-f32": [103.0] * 3})
        one = self.peers_files(1.7)
        again = self.measure(build, "--parts", "peers", "--add", *one)
        self.assertEqual(again["peers"][what]["rows"]["linear 1,1024,1024"]["ratios"]["ort-int8"], [1.5, 1.2, 1.4, 1.7])
        kept = self.measure(build, "--parts", "kernels", "--rounds", 1)
        self.assertEqual(kept["peers"], again["peers"])

    def test_peers_as_json(self):
        text = PEERS.format(ratio=1.5)
        what, rows = performance_peers.parse(text, "text")
        self.assertEqual(len(rows), 2)
        self.assertEqual(performance_peers.parse(json.dumps({"what": what, "rows": rows}), "json"), (what, rows))
        for wrong in ("no rows", "{", '{"what": "x", "rows": [{"kind": "lstm"}]}', '{"rows": []}'):
            with self.assertRaisesRegex(SystemExit, "wrong.txt"):
                performance_peers.parse(wrong, "wrong.txt")


class Report(Folder):
    def pages(self):
        names = (SOURCE / "docs/performance.md").read_text().split("<!-- begin: ")[1:]
        first = self.folder / "first.md"
        first.write_text("# Head\n" + "".join(f"<!-- begin: {n} -->\nold\n<!-- end: {n} -->\n"
                                              for n in (name.split(" -->")[0] for name in names)))
        second = self.folder / "second.md"
        second.write_text("<!-- begin: figures -->\n<!-- end: figures -->\nTail\n")
        return ["--results", self.results, "--page", first, "--page", second]

    def test_two_cpus_side_by_side(self):
        self.measure(self.build("a"), "--rounds", 2, *self.peers_files(1.5, 1.2, 1.4), out="one.json")
        performance_results.save(self.results / "two.json", made_up_set("Acme Core 2", [7, 5, 9]))
        pages = self.pages()
        done = script("report", *pages)
        self.assertEqual(done.returncode, 0, done.stderr)
        text, readme = pages[3].read_text(), pages[5].read_text()
        mine = performance_machine.cpu_title(performance_machine.machine())
        self.assertIn(f"| layer | {mine}, `fast` | Acme Core 2, `fast` |\n", text)
        self.assertIn("| linear 1,1024,1024 | 10.0 (10.0 to 10.0) | 7.00 (5.00 to 9.00) |\n", text)
        self.assertIn("| `fast` | 4,64,64 | 50.0 | 50.0 |", text)
        self.assertIn("| gru 64,64,1,100,1 | 2.06 (2.06 to 2.06) |", text)
        self.assertIn(f"| layer | {mine}, `fast` |\n", readme)  # of the second CPU there are no peers
        self.assertIn("| linear 1,1024,1024 | 1.40 (1.20 to 1.50) |\n", readme)
        self.assertTrue(readme.endswith("Tail\n"))
        self.assertIn("ONNX Runtime 9.9.0, this library built by g++ 12.2.0", readme)
        plots = {"one-roofline.svg", "one-scaling.svg"}  # of the second CPU neither kernels nor sweeps were measured
        self.assertEqual({path.name for path in self.results.glob("*.svg")}, plots)
        self.assertIn("(performance/one-roofline.svg)", text)
        self.assertNotIn("(performance/two-roofline.svg)", text)

        self.assertEqual(script("report", "--check", *pages).returncode, 0)
        pages[5].write_text(readme.replace("1.40", "1.60"))
        self.assertIn("second.md", script("report", "--check", *pages).stderr)
        pages[5].write_text(readme)
        (self.results / "two.json").unlink()
        (self.results / "two-roofline.svg").write_text("<svg/>")
        self.assertIn("two-roofline.svg", script("report", "--check", *pages).stderr)
        self.assertEqual(script("report", *pages).returncode, 0)
        self.assertEqual(script("report", "--check", *pages).returncode, 0)
        self.assertNotIn("Acme Core 2", pages[3].read_text())

    def test_nothing_measured_and_missing_markers(self):
        self.assertIn("no result set", script("report", *self.pages()).stderr)
        performance_results.save(self.results / "two.json", made_up_set("Acme Core 2", [7]))
        self.assertIn("no page has the markers of figures", script("report", *self.pages()[:4]).stderr)

    def test_the_pages_of_the_repository_are_what_it_writes(self):
        done = script("report", "--check")
        self.assertEqual(done.returncode, 0, done.stderr)


class Names(unittest.TestCase):
    def test_names_of_cpus(self):
        for model_name, vendor, family, model, expected in (
                ("AMD EPYC", "AuthenticAMD", 26, 2, "amd-epyc-zen5-fast"),
                ("AMD EPYC", "AuthenticAMD", 25, 17, "amd-epyc-zen4-fast"),
                ("AMD EPYC 7763 64-Core Processor", "AuthenticAMD", 25, 1, "amd-epyc-7763-fast"),
                ("AMD EPYC", "AuthenticAMD", 99, 1, "amd-epyc-family-99-model-1-fast"),
                ("Intel(R) Xeon(R) Processor @ 2.60GHz", "GenuineIntel", 6, 143, "intel-xeon-sapphire-rapids-fast"),
                ("Intel(R) Xeon(R) Platinum 8480+", "GenuineIntel", 6, 143, "intel-xeon-platinum-8480-fast")):
            machine = {"model_name": model_name, "family": family, "model": model}
            if found := performance_machine.microarchitecture(vendor, family, model):
                machine["microarchitecture"] = found
            self.assertEqual(performance_machine.slug(machine, "fast"), expected)

    def test_cascade_lake_is_told_by_its_stepping(self):
        names = [performance_machine.microarchitecture("GenuineIntel", 6, 85, stepping) for stepping in (4, 7, 11)]
        self.assertEqual(names, ["Skylake-SP", "Cascade Lake", "Cooper Lake"])

    def test_labels_do_not_cover_each_other(self):
        self.assertEqual(performance_plots.apart({"low": 90, "b": 52, "a": 50}), {"a": 50, "b": 64, "low": 90})

    def test_a_set_is_the_same_after_saving(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "set.json")
            made_up = made_up_set("Acme Core 1", [1.5, 2.5])
            performance_results.save(path, made_up)
            self.assertEqual(performance_results.load(path), made_up)


if __name__ == "__main__":
    unittest.main()

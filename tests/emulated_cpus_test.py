#!/usr/bin/env python3
"""emulated_cpus_test.py TESTS CASES [CLI]: the library on older x86-64 CPUs, emulated by qemu, where an instruction
that the CPU lacks is illegal. The CPUs are those of `qemu_cpus_x86_64` in backends/*/backend.cmake. On each: the
backend that is chosen, tests in a small form, reference cases, and the answer to a backend that cannot run.

TESTS: the folder of the built tests; CASES: of the reference cases; CLI: the built `bytegate`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
import backend_table  # noqa: E402

QEMU = "qemu-x86_64-static"

ALL = [entry.name for entry in backend_table.backends("x86_64")]

TESTS = ["dispatch_test", "gemm_test", "quantize_test", "activations_test", "bits_test", "rows_test", "odd_values_test",
         "bad_calls_test"]
SMALL_CASES = ["demo_model", "linear_1", "lstm_0", "lstm_6"]

failures = []


def run(cpu, command, **environment):
    variables = {k: v for k, v in os.environ.items() if not k.startswith("BYTEGATE_")}
    variables.update(BYTEGATE_TEST_SIZE="small", **environment)
    return subprocess.run([QEMU, "-cpu", cpu, *map(str, command)], env=variables, capture_output=True, text=True,
                          check=False, timeout=600)


def expect(condition, what, done):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}\n  exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}", flush=True)


def check_test(cpu, backends, test):
    # Of the backends it can run none may be skipped.
    done = run(cpu, [test, "--gtest_brief=1"], BYTEGATE_REQUIRED_BACKENDS=",".join(backends))
    expect(done.returncode == 0 and "[  PASSED  ]" in done.stdout, f"{cpu}: {test.name}", done)


def check_conformance(cpu, backends, tests, cases):
    done = run(cpu, [tests / "torch_conformance", cases])
    first = done.stdout.splitlines()[:1]
    expect(first == ["backends: " + " ".join(backends)], f"{cpu}: torch_conformance runs {backends}", done)
    passed = f"{len(SMALL_CASES)} passed, 0 failed" in done.stdout
    expect(done.returncode == 0 and passed, f"{cpu}: torch_conformance", done)


def check_command_line(cpu, backends, cli):
    for value in (None, "", "auto"):
        done = run(cpu, [cli, "info", "--json"], **({} if value is None else {"BYTEGATE_BACKEND": value}))
        selected = json.loads(done.stdout)["selected"] if done.returncode == 0 else None
        expect(selected == backends[0], f"{cpu}: BYTEGATE_BACKEND={value} selects {selected}, not {backends[0]}", done)
    for name in ALL:
        done = run(cpu, [cli, "info", "--json"], BYTEGATE_BACKEND=name)
        if name in backends:
            selected = json.loads(done.stdout)["selected"] if done.returncode == 0 else None
            expect(selected == name, f"{cpu}: BYTEGATE_BACKEND={name}", done)
        else:
            named = all(other in done.stderr for other in ALL) and "BYTEGATE_BACKEND" in done.stderr
            expect(done.returncode == 1 and named,
                   f"{cpu}: BYTEGATE_BACKEND={name} is an error that names every backend", done)
    done = run(cpu, [cli, "info"], BYTEGATE_BACKEND="avx3")
    expect(done.returncode == 1 and "'avx3'" in done.stderr, f"{cpu}: BYTEGATE_BACKEND=avx3 is an error", done)


def main():
    tests, cases = Path(sys.argv[1]), Path(sys.argv[2])
    cli = Path(sys.argv[3]) if sys.argv[3:] and sys.argv[3] else None
    if not shutil.which(QEMU):
        sys.exit(f"emulated_cpus_test: {QEMU} is not installed (Debian: qemu-user-static), and this test must have it")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        for name in SMALL_CASES:
            shutil.copy(cases / f"{name}.safetensors", folder)
        checks = []
        for cpu, backends in backend_table.emulated_cpus("x86_64").items():
            print(f"{cpu}: {backends[0]}", flush=True)
            checks += [pool.submit(check_test, cpu, backends, tests / name) for name in TESTS]
            checks.append(pool.submit(check_conformance, cpu, backends, tests, Path(folder)))
            if cli:
                checks.append(pool.submit(check_command_line, cpu, backends, cli))
        for check in checks:
            check.result()  # raises what it raised
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

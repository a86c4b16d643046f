"""Which CPU this is, and a short name for it, for performance.py."""

import glob
import os
import pathlib
import re
import subprocess

# (vendor, family): [(first model, last model, microarchitecture)]. Virtual machines often hide the model's name, not
# these numbers.
MICROARCHITECTURES = {
    ("AuthenticAMD", 23): [(0x00, 0x2f, "Zen"), (0x30, 0xff, "Zen 2")],
    ("AuthenticAMD", 25): [(0x00, 0x0f, "Zen 3"), (0x10, 0x1f, "Zen 4"), (0x20, 0x5f, "Zen 3"), (0x60, 0x7f, "Zen 4"),
                           (0xa0, 0xaf, "Zen 4")],
    ("AuthenticAMD", 26): [(0x00, 0x4f, "Zen 5"), (0x60, 0x7f, "Zen 5")],
    ("GenuineIntel", 6): [(60, 60, "Haswell"), (61, 61, "Broadwell"), (63, 63, "Haswell"), (69, 70, "Haswell"),
                          (71, 71, "Broadwell"), (78, 78, "Skylake"), (79, 79, "Broadwell"), (85, 85, "Skylake-SP"),
                          (86, 86, "Broadwell"), (94, 94, "Skylake"), (106, 106, "Ice Lake"), (108, 108, "Ice Lake"),
                          (125, 126, "Ice Lake"), (140, 141, "Tiger Lake"), (142, 142, "Kaby Lake"),
                          (143, 143, "Sapphire Rapids"), (151, 151, "Alder Lake"), (154, 154, "Alder Lake"),
                          (158, 158, "Kaby Lake"), (167, 167, "Rocket Lake"), (170, 170, "Meteor Lake"),
                          (173, 174, "Granite Rapids"), (175, 175, "Sierra Forest"), (183, 183, "Raptor Lake"),
                          (186, 186, "Raptor Lake"), (191, 191, "Raptor Lake"), (207, 207, "Emerald Rapids")],
}


def microarchitecture(vendor, family, model, stepping=0):
    """'Zen 5', or nothing for a CPU that the table does not have."""
    if (vendor, family, model) == ("GenuineIntel", 6, 85) and stepping >= 5:
        return "Cooper Lake" if stepping >= 10 else "Cascade Lake"
    for first, last, name in MICROARCHITECTURES.get((vendor, family), []):
        if first <= model <= last:
            return name
    return ""


def plain_model(text):
    """'AMD EPYC 7763' of 'AMD EPYC 7763 64-Core Processor', 'Intel Xeon' of 'Intel(R) Xeon(R) CPU @ 2.20GHz'."""
    text = re.sub(r"\([^)]*\)|@.*$", " ", text)
    text = re.sub(r"(?i)\b(\d+-core|cpu|processor|with radeon graphics)\b", " ", text)
    return " ".join(text.split())


def cpu_title(machine):
    """'AMD EPYC, Zen 5': the model's name, and what its numbers say where they say something."""
    name = plain_model(machine["model_name"]) or "unknown CPU"
    more = machine.get("microarchitecture", "")
    if not more and not re.search(r"\d", name) and "family" in machine:
        more = f"family {machine['family']} model {machine['model']}"
    return f"{name}, {more}" if more else name


def slug(machine, best_backend):
    """The name of the CPU's file: 'amd-epyc-zen5-avx512vnni'. A model's name with digits says what CPU it is; to
    another, such as a virtual machine's 'AMD EPYC', the microarchitecture is added, or the family and model."""
    name = plain_model(machine["model_name"])
    title = name if re.search(r"\d", name) else cpu_title(machine)
    title = re.sub(r"\bzen (?=\d)", "zen", title.lower())
    return re.sub(r"[^a-z0-9]+", "-", f"{title} {best_backend}").strip("-")


def caches():
    sizes = {}
    for folder in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        level, kind, size = (pathlib.Path(folder, f).read_text().strip() for f in ("level", "type", "size"))
        if kind != "Instruction":
            sizes[f"L{level}"] = size
    return sizes or caches_of_the_c_library()


def caches_of_the_c_library():
    """Virtual machines may have no sizes in /sys, where glibc asks the CPU."""
    sizes = {}
    for level, name in (("L1", "LEVEL1_DCACHE_SIZE"), ("L2", "LEVEL2_CACHE_SIZE"), ("L3", "LEVEL3_CACHE_SIZE")):
        try:
            text = subprocess.run(["getconf", name], capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            continue
        if text.isdigit() and int(text):
            sizes[level] = f"{int(text) >> 10}K"
    return sizes


def lscpu_model():
    """lscpu knows the names of Arm cores, of which /proc/cpuinfo has numbers only."""
    try:
        text = subprocess.run(["lscpu"], capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"},
                              check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    found = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}
    return " ".join(found[key] for key in ("Vendor ID", "Model name") if key in found)


def machine():
    """This machine as a result set describes it."""
    info = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    found = {"model_name": info.get("model name") or lscpu_model() or os.uname().machine}
    if "cpu family" in info:
        numbers = [int(info[key]) for key in ("cpu family", "model")]
        stepping = int(info["stepping"]) if info.get("stepping", "").isdigit() else 0
        found |= {"family": numbers[0], "model": numbers[1]}
        if name := microarchitecture(info.get("vendor_id", ""), *numbers, stepping):
            found["microarchitecture"] = name
    return found | {"cpus": os.cpu_count() or 1, "caches": caches(), "virtual": "hypervisor" in
                    info.get("flags", "").split()}

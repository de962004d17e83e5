"""Builds the native core once more, with a compiler's instruments, beside the one in use; tries other compilers.

    python -m tests.native.build sanitize     AddressSanitizer and UBSan (g++), into build/sanitize
    python -m tests.native.build fuzz         UBSan, and coverage for libFuzzer (clang++), into build/fuzz
    python -m tests.native.build compilers    no warning from g++, clang++ and g++ for aarch64; absent ones are named

The build is setup.py's own with more flags, so optimisation and language are those of the wheel. Gives up: macOS
(the preloading that Python needs is Linux's).
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_ALL = "-g -fno-omit-frame-pointer -fno-sanitize-recover=all"
FLAGS = {
    "sanitize": f"{_ALL} -fsanitize=address,undefined",
    # Without AddressSanitizer, which makes Python ten times slower: `sanitize` replays what was found. What atheris
    # brings knows nothing of C++ run-time types.
    "fuzz": f"{_ALL} -fsanitize=undefined,fuzzer-no-link -fno-sanitize=vptr,function",
}
_COMPILERS = {"sanitize": "g++", "fuzz": "clang++"}
# Debian's names, for the message.
_PACKAGES = {"g++": "g++", "clang++": "clang", "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu"}


def library(kind: str) -> Path:
    """Where the extension of a kind ("sanitize", "fuzz") is built."""
    return ROOT / "build" / kind / "filters" / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"


def missing(kind: str) -> str | None:
    """None when this kind can be built here, else what to install."""
    if sys.platform != "linux":
        return "it is for Linux"
    name = _COMPILERS[kind]
    return None if shutil.which(name) else f"no {name} here (apt-get install {_PACKAGES[name]})"


def build(kind: str) -> Path:
    """The instrumented extension, built anew where a source is newer.

    Raises:
        RuntimeError: no compiler, or it failed.
    """
    if lack := missing(kind):
        raise RuntimeError(lack)
    cxx = _COMPILERS[kind]
    target = library(kind)
    sources = [*(ROOT / "native").glob("*.?pp"), ROOT / "setup.py"]
    if target.exists() and target.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return target
    target.unlink(missing_ok=True)
    flags = FLAGS[kind]
    environment = os.environ | {"CC": {"g++": "gcc", "clang++": "clang"}[cxx], "CXX": cxx}
    environment |= {"CFLAGS": flags, "CXXFLAGS": flags, "LDFLAGS": flags}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--force", "--parallel", "2"]
    folder = ROOT / "build" / kind
    subprocess.run([*command, "--build-lib", folder, "--build-temp", folder / "objects"], cwd=ROOT, env=environment)
    if not target.exists():
        raise RuntimeError(f"{cxx} did not build {target}")
    return target


def check_compilers() -> int:
    """Compiles every source with each compiler that is here, warnings being errors; the exit code."""
    failed = False
    include = [
        f"-I{path}" for path in dict.fromkeys([sysconfig.get_path("include"), sysconfig.get_path("platinclude")])
    ]
    for name, package in _PACKAGES.items():
        if shutil.which(name) is None:
            print(f"{name}: skipped, it is not here (apt-get install {package})")
            continue
        warnings = ["-std=c++17", "-O2", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
        # Only the head of a file is machine-dependent in Python's headers, and 64-bit Linux is 64-bit Linux.
        for source in sorted((ROOT / "native").glob("*.cpp")):
            command = [name, *warnings, "-fPIC", "-Inative", *include, "-c", str(source), "-o", os.devnull]
            failed |= subprocess.run(command, cwd=ROOT).returncode != 0
        print(f"{name}: {'failed' if failed else 'no warnings'}")
    return int(failed)


def main() -> int:
    kinds = [*FLAGS, "compilers"]
    if sys.argv[1:] not in [[kind] for kind in kinds]:
        print(f"usage: python -m tests.native.build {' | '.join(kinds)}", file=sys.stderr)
        return 2
    if sys.argv[1] == "compilers":
        return check_compilers()
    try:
        print(build(sys.argv[1]))
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Builds the native core of the filters; everything else about the package is in pyproject.toml.

The extension is optional: where no C++17 compiler is found the installation goes on without it, and the filters take
datatrove's own path, with the same verdicts.
"""

import runpy
from glob import glob
from pathlib import Path

from setuptools import Extension, setup

# Not an import: the package's own dependencies are not there yet.
digest = runpy.run_path("filters/native_sources.py")["digest"]

setup(
    ext_modules=[
        Extension(
            "filters._native",
            sources=sorted(glob("native/*.cpp")),
            depends=sorted(glob("native/*.hpp")),
            include_dirs=["native"],
            define_macros=[("SMOL_SOURCES", f'"{digest(Path("native"))}"')],
            language="c++",
            # No -march=native: a wheel runs on any machine of its kind. No fused multiply-add: scores must be rounded
            # as CRFsuite's, product by product.
            extra_compile_args=["-std=c++17", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"],
            optional=True,
        )
    ]
)

"""Metadata of the distribution, and the decision whether its C modules are compiled.

The package is complete without C.  ``reactor._accel`` and ``reactor.load._drive`` are built when three things are
there: cffi, a compiler that works, and Python's headers; if one is missing, one line says which, and what is built
is a pure wheel for every machine.  If they are there, the modules use the limited API only, so that one wheel
(``cp311-abi3``) serves each CPython from 3.11 on.  A free-threaded build has no limited API and gets a wheel of its
own version.

cffi is required on CPython, to build (pyproject.toml) and to run: nobody is slow for want of an option.  Pip
hides what a build says; ``reactor info`` says afterwards what is missing and how to get it.

The compiler is tried on a few lines before setuptools hears of the modules: setuptools fixes the name of the wheel
before it compiles, and a wheel without C should not claim to need this platform.

For development: ``python setup.py build_ext --inplace``.  Read next: ``_accel/build.py``.
"""

from __future__ import annotations

import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from setuptools import find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, PlatformError

HERE = Path(__file__).parent

#: What the compiler must accept before it is given the modules.  Most often it is Python.h that is missing.
PROBE = "#include <Python.h>\nint reactor_probe(void) { return 0; }\n"

#: What the C modules are loaded with.  PyPy brings its own and has no use for them.
CFFI = "cffi>=1.17; platform_python_implementation == 'CPython'"

TEST = [
    "asyncore-wsgi>=0.0.11",
    "coverage[toml]>=7.6",
    "hypothesis>=6.100",
    "mypy>=1.13",
    "pyftpdlib>=2.0",
    "pyright[nodejs]>=1.1.402; platform_machine in 'x86_64 AMD64 aarch64 arm64'",  # it brings its node along
    "pytest>=9.0",
    "pytest-benchmark>=5.1",
    "pytest-cov>=6.0",
    "ruff>=0.9",
    "setuptools>=77",
    "standard-smtpd>=3.13; python_version >= '3.12'",
    "types-cffi",
]

EXTRAS = {
    "test": TEST,
    "bench": [
        "gevent",
        "hdrhistogram",
        "matplotlib",
        "pytest-benchmark>=5.1",
        "rich",
        "tornado",
        "trio",
        "twisted",
        "uvloop; sys_platform != 'win32'",
    ],
    "docs": ["pdoc"],
}


def version() -> str:
    """Return ``__version__`` as ``reactor/__init__.py`` spells it, without importing the package."""
    for line in (HERE / "reactor" / "__init__.py").read_text(encoding="utf-8").splitlines():
        if line.startswith("__version__"):
            return line.partition("=")[2].strip().strip("\"'")
    raise SystemExit("setup.py: reactor/__init__.py has no line that sets __version__")


class OptionalBuildExt(build_ext):
    """Compiles the modules, or warns and goes on: an extension marked optional never fails the installation."""

    def build_extensions(self) -> None:
        for extension in self.extensions:
            extension.optional = True
        super().build_extensions()


def compiler_problem() -> str | None:
    """Compile a few lines as the modules will be compiled; return why that failed, or None."""
    # A build_ext that belongs to no extension brings the compiler with every setting that setuptools would give it.
    from setuptools import Distribution, Extension

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(PROBE, encoding="ascii")
        probe = Extension("reactor_probe", [str(source)])
        command = build_ext(Distribution({"name": "probe", "ext_modules": [probe]}))
        command.build_lib = command.build_temp = folder
        try:
            command.ensure_finalized()
            command.run()
        except (CCompilerError, PlatformError) as exc:
            return f"the C compiler does not work or Python.h is missing ({exc})"
    return None


def native_problem() -> str | None:
    """Return why the C modules cannot be built here, or None."""
    if sys.implementation.name != "cpython":
        return f"it is faster to let {sys.implementation.name} compile the Python code"
    if find_spec("cffi") is None:
        return "cffi is not installed (pip install cffi)"
    if not (HERE / "_accel" / "build.py").exists():
        return "its sources are not here"
    return compiler_problem()


def native_options() -> dict[str, Any]:
    """Return the arguments of ``setup`` that build the C modules; none if they cannot be built."""
    problem = native_problem()
    if problem is not None:
        print(f"reactor: installing without the C modules, in pure Python: {problem}", file=sys.stderr)
        return {}
    options: dict[str, Any] = {
        "cffi_modules": ["_accel/build.py:ffibuilder", "_accel/build.py:drive_ffibuilder"],
        "cmdclass": {"build_ext": OptionalBuildExt},
    }
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        options["options"] = {"bdist_wheel": {"py_limited_api": "cp311"}}
    return options


setup(
    name="reactor-loop",
    version=version(),
    description="A select/poll/epoll event loop from scratch: embed it, read it, measure with it",
    long_description=(HERE / "README.md").read_text(encoding="utf-8") if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    author="the reactor developers",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["event loop", "reactor", "select", "poll", "epoll", "sockets", "framing"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Operating System :: POSIX :: Linux",
        "Operating System :: OS Independent",
        "Programming Language :: C",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Software Development :: Libraries",
        "Topic :: System :: Networking",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["reactor", "reactor.*"]),
    package_data={"": ["py.typed", "*.html", "*.css", "*.js"]},
    install_requires=[CFFI],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["reactor = reactor.cli.main:main"]},
    zip_safe=False,
    **native_options(),
)

"""What programs import, and the names of the distributions that bring it."""

from __future__ import annotations

import ast
import keyword
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Final

from backend.config.install_list import normalised
from backend.foreign_code import parse

DISTRIBUTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Bio": ("biopython",),
    "Crypto": ("pycryptodome",),
    "Levenshtein": ("Levenshtein", "python-Levenshtein"),
    "MySQLdb": ("mysqlclient",),
    "OpenSSL": ("pyOpenSSL",),
    "PIL": ("pillow",),
    "attr": ("attrs",),
    "bs4": ("beautifulsoup4",),
    "camelot": ("camelot-py",),
    "community": ("python-louvain",),
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless"),
    "dateutil": ("python-dateutil",),
    "docx": ("python-docx",),
    "dotenv": ("python-dotenv",),
    "faiss": ("faiss-cpu",),
    "fitz": ("PyMuPDF",),
    "fontTools": ("fonttools",),
    "git": ("GitPython",),
    "igraph": ("igraph", "python-igraph"),
    "imblearn": ("imbalanced-learn",),
    "jose": ("python-jose",),
    "jwt": ("PyJWT",),
    "magic": ("python-magic",),
    "markdown": ("Markdown",),
    "mpl_toolkits": ("matplotlib",),
    "nacl": ("PyNaCl",),
    "odf": ("odfpy",),
    "osgeo": ("GDAL",),
    "pdfminer": ("pdfminer.six",),
    "pkg_resources": ("setuptools",),
    "pptx": ("python-pptx",),
    "psycopg2": ("psycopg2-binary", "psycopg2"),
    "pylab": ("matplotlib",),
    "pymupdf": ("PyMuPDF",),
    "pythoncom": ("pywin32",),
    "pywt": ("PyWavelets",),
    "ruamel": ("ruamel.yaml",),
    "serial": ("pyserial",),
    "shapefile": ("pyshp",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "sksurv": ("scikit-survival",),
    "slugify": ("python-slugify",),
    "snappy": ("python-snappy",),
    "sqlalchemy": ("SQLAlchemy",),
    "talib": ("TA-Lib",),
    "tlz": ("toolz",),
    "umap": ("umap-learn",),
    "usb": ("pyusb",),
    "xlsxwriter": ("XlsxWriter",),
    "yaml": ("PyYAML",),
    "zmq": ("pyzmq",),
}
"""Import name -> the distributions that bring it, the best first. Most are not here: they are
called as they are imported."""

_NO_MODULE = re.compile(r"No module named '?([\w.]+)")
_GUARDS: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_NO_IMPORTS: Final = frozenset({"__pycache__", "tests", "test", "docs", "examples"})


def is_import_name(name: str) -> bool:
    """It can stand in an import statement, so nothing else can be meant by it: no path, no option."""
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name)


def distributions_for(import_name: str) -> tuple[str, ...]:
    """The distributions that bring a module, as the index writes them, the best first."""
    return DISTRIBUTIONS.get(import_name) or (import_name.replace("_", "-"),)


def modules_of(distributions: Collection[str]) -> frozenset[str]:
    """What distributions are imported as, by their normalised names, as far as that can be told."""
    own = {name.replace("-", "_") for name in distributions}
    other = {
        module
        for module, brought_by in DISTRIBUTIONS.items()
        if any(normalised(each) in distributions for each in brought_by)
    }
    return frozenset(own | other)


def missing_module(message: str) -> str | None:
    """The top-level module that a ModuleNotFoundError's message or a traceback names."""
    found = _NO_MODULE.findall(message)
    top = found[-1].partition(".")[0] if found else ""
    return top if is_import_name(top) else None


def imported_by(code: str) -> frozenset[str]:
    """Top-level modules outside of the standard library that a program cannot do without.

    Imports whose absence the program itself sees to are left out; so are relative ones. A program
    that does not parse imports nothing.
    """
    tree = parse(code)
    if tree is None:
        return frozenset()
    tops = {name.partition(".")[0] for name in _imports(tree)}
    return frozenset(name for name in tops if is_import_name(name)) - sys.stdlib_module_names


def _imports(tree: ast.AST) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
        if isinstance(node, ast.Try) and any(map(_sees_to_absence, node.handlers)):
            waiting += [*node.handlers, *node.orelse, *node.finalbody]
        else:
            waiting += ast.iter_child_nodes(node)


def _sees_to_absence(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in _GUARDS for node in ast.walk(handler.type))


def import_names(folders: Iterable[str | Path]) -> frozenset[str]:
    """The top-level modules and packages that lie in folders of packages; nothing is imported."""
    return frozenset(name for folder in folders for name in _names_in(folder))


def _names_in(folder: str | Path) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    suffixes = all_suffixes()
    for entry in entries:
        if entry.is_dir():
            if is_import_name(entry.name) and entry.name not in _NO_IMPORTS and _has_code(entry):
                yield entry.name
            continue
        stem, _, rest = entry.name.partition(".")
        if (
            is_import_name(stem)
            and any(entry.name.endswith(suffix) for suffix in suffixes)
            and rest
        ):
            yield stem


def _has_code(folder: os.DirEntry[str]) -> bool:
    """There is a module in it somewhere; a namespace package has none directly."""
    suffixes = tuple(all_suffixes())
    for _, _, files in os.walk(folder.path):
        if any(name.endswith(suffixes) for name in files):
            return True
    return False

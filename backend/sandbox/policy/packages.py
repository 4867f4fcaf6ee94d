"""Packages by import name: which there are, which take another's place, how to install them."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from backend.foreign_code import parse
from backend.sandbox.packages import names
from backend.sandbox.policy.bans import words
from backend.sandbox.policy.imports import SAFE_PACKAGES

_WITH_SUBMODULES = words("""
    sklearn scipy matplotlib statsmodels pandas numpy mpl_toolkits seaborn sympy networkx skimage
    openpyxl plotly bs4
    """)
"""Packages whose direct submodules are known as well, because they are often misspelt."""
_MAX_ENTRIES: Final = 20_000

_IMPORTED_AS: Final = {
    **{
        name: module
        for module, brought_by in names.DISTRIBUTIONS.items()
        if module in SAFE_PACKAGES
        for name in (distribution.lower().replace("-", "_") for distribution in brought_by)
        if name not in SAFE_PACKAGES and name not in names.DISTRIBUTIONS
    },
    "opencv": "cv2", "beautifulsoup": "bs4", "scikit": "sklearn", "np": "numpy", "pd": "pandas",
    "plt": "matplotlib.pyplot", "pyplot": "matplotlib.pyplot",
}  # fmt: skip
"""What a package is installed as or called, in small letters -> what it is imported as."""

_IN_PLACE_OF: Final = {
    "polars": "pandas", "duckdb": "pandas", "dask": "pandas", "modin": "pandas", "vaex": "pandas",
    "fastparquet": "pyarrow pandas", "xarray": "numpy pandas", "geopandas": "pandas",
    "plotly": "matplotlib", "altair": "matplotlib", "bokeh": "matplotlib", "seaborn": "matplotlib",
    "folium": "matplotlib", "wordcloud": "matplotlib", "squarify": "matplotlib",
    "graphviz": "networkx matplotlib",
    "tensorflow": "sklearn numpy", "keras": "sklearn numpy", "torch": "sklearn numpy",
    "torchvision": "sklearn PIL", "jax": "numpy", "cupy": "numpy", "numba": "numpy",
    "xgboost": "sklearn", "lightgbm": "sklearn", "catboost": "sklearn",
    "prophet": "statsmodels", "pmdarima": "statsmodels", "arch": "statsmodels",
    "lifelines": "statsmodels scipy", "cvxpy": "scipy", "pulp": "scipy",
    "numpy_financial": "numpy", "cv2": "skimage PIL", "skimage": "PIL scipy", "imageio": "PIL",
    "tifffile": "PIL", "nltk": "re", "spacy": "re", "textblob": "re", "gensim": "sklearn",
    "jieba": "re", "rapidfuzz": "difflib", "Levenshtein": "difflib", "fitz": "pypdf",
    "PyPDF2": "pypdf", "pdfplumber": "pypdf", "pyxlsb": "openpyxl", "xlsxwriter": "openpyxl",
    "xlrd": "openpyxl", "orjson": "json", "simplejson": "json", "toml": "tomllib", "tomli": "tomllib",
    "pendulum": "datetime", "arrow": "datetime", "pytz": "zoneinfo", "regex": "re",
    "tabulate": "pandas", "prettytable": "pandas", "rich": "pprint", "lxml": "xml",
    "statsmodels": "scipy", "sklearn": "scipy numpy", "sympy": "fractions math", "bs4": "html",
    "tables": "h5py", "netCDF4": "xarray h5py", "sqlalchemy": "sqlite3", "mpmath": "decimal",
    "faker": "random", "pydantic": "dataclasses", "attr": "dataclasses", "chardet": "charset_normalizer",
    "image": "PIL", "docx2txt": "docx", "camelot": "pypdf", "tabula": "pypdf", "pdfminer": "pypdf",
    "pypdf4": "pypdf", "xlwt": "openpyxl", "ezodf": "odf", "ujson": "json", "rapidjson": "json",
    "cjson": "json", "configobj": "configparser", "pyspark": "pandas", "cudf": "pandas",
    "ta": "pandas", "theano": "numpy", "ggplot": "seaborn", "plotnine": "seaborn",
    "pygal": "matplotlib", "mpld3": "matplotlib", "igraph": "networkx", "igraph_python": "networkx",
    "magic": "mimetypes",
}  # fmt: skip
"""A package -> others that can do its work in another way, the best one first."""


def third_party_imports(code: str) -> tuple[str, ...]:
    """Top names of the packages outside of the standard library that a program imports, sorted.

    None if it is no Python; relative imports are left out.
    """
    tops: set[str] = set()
    tree = parse(code)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            tops.add(node.module.partition(".")[0])
    return tuple(sorted(tops - sys.stdlib_module_names - {"__future__"}))


def installed_in(folders: Iterable[str]) -> frozenset[str]:
    """What can be imported from folders of packages, by listing them; nothing is imported.

    Top names, and for some large packages their submodules as dotted names (``sklearn.ensemble``).
    """
    found: set[str] = set()
    for folder in folders:
        for name in _modules_in(folder):
            found.add(name)
            if name in _WITH_SUBMODULES:
                found |= {f"{name}.{each}" for each in _modules_in(os.path.join(folder, name))}
    return frozenset(found)


def _modules_in(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(_MAX_ENTRIES), entries, strict=False):
                name, dot, suffix = entry.name.partition(".")
                is_module = suffix == "py" or suffix.endswith((".so", ".pyd")) or suffix == "so"
                if name.isidentifier() and (is_module if dot else entry.is_dir()):
                    yield name
    except OSError:
        return


def is_installed(top: str, installed: Collection[str]) -> bool:
    """Whether a top name can be imported, the standard library included."""
    return top in installed or top in sys.stdlib_module_names


def imported_as(name: str) -> str | None:
    """The module that a package is imported as, where it is called otherwise."""
    return _IMPORTED_AS.get(name.lower())


def is_package(top: str) -> bool:
    """Whether a top name is known to be a package's, be it there or not."""
    return top in SAFE_PACKAGES or top in names.DISTRIBUTIONS or top in _IN_PLACE_OF


def alternatives(top: str, installed: Collection[str] | None) -> list[str]:
    """Packages that can do the work of one that is not there, of those that are; None: of all."""
    others = _IN_PLACE_OF.get(top) or _IN_PLACE_OF.get(top.lower(), "")
    return [name for name in others.split() if installed is None or is_installed(name, installed)]


def importable(installed: Collection[str]) -> frozenset[str]:
    """Top names that programs may import and that are there."""
    return frozenset(name for name in SAFE_PACKAGES if is_installed(name, installed))


def submodules(top: str, installed: Collection[str]) -> frozenset[str]:
    """The known submodules of a package; none where they are not known."""
    if top not in _WITH_SUBMODULES:
        return frozenset()
    start = f"{top}."
    return frozenset(name[len(start) :] for name in installed if name.startswith(start))

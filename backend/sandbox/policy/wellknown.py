"""Names that nearly every program means the same by, with the import that defines them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from backend.sandbox.policy.bans import words

_ALIASES: Final = {
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "plt": "import matplotlib.pyplot as plt",
    "mpl": "import matplotlib as mpl",
    "mdates": "import matplotlib.dates as mdates",
    "mticker": "import matplotlib.ticker as mticker",
    "mpatches": "import matplotlib.patches as mpatches",
    "sns": "import seaborn as sns",
    "sm": "import statsmodels.api as sm",
    "smf": "import statsmodels.formula.api as smf",
    "nx": "import networkx as nx",
    "sp": "import sympy as sp",
    "ET": "import xml.etree.ElementTree as ET",
    "stats": "from scipy import stats",
    "xr": "import xarray as xr",
}
_MODULES = words("""
    math json re os sys csv random time itertools collections functools string statistics operator
    shutil glob copy heapq bisect decimal fractions io textwrap typing sqlite3 zipfile gzip hashlib
    base64 calendar locale logging warnings tempfile uuid pprint inspect traceback contextlib enum
    dataclasses numbers cmath struct unicodedata difflib secrets threading asyncio pathlib html
    numpy pandas scipy matplotlib seaborn sklearn statsmodels sympy networkx openpyxl yaml cv2
    """)
_MEMBERS: Final = {
    "collections": "Counter defaultdict OrderedDict deque namedtuple",
    "pathlib": "Path PurePath",
    "dataclasses": "dataclass asdict",
    "datetime": "timedelta timezone",
    "decimal": "Decimal ROUND_HALF_UP",
    "fractions": "Fraction",
    "functools": "reduce lru_cache partial cache wraps",
    "itertools": "combinations permutations chain groupby accumulate product",
    "io": "StringIO BytesIO",
    "typing": "List Dict Tuple Optional Union Any Callable Iterable Iterator Sequence Set",
    "enum": "Enum",
    "abc": "ABC abstractmethod",
    "contextlib": "contextmanager suppress",
    "copy": "deepcopy",
    "pprint": "pprint",
    "sklearn.linear_model": "LinearRegression LogisticRegression Ridge Lasso",
    "sklearn.ensemble": "RandomForestClassifier RandomForestRegressor",
    "sklearn.model_selection": "train_test_split cross_val_score GridSearchCV KFold",
    "sklearn.preprocessing": "StandardScaler MinMaxScaler LabelEncoder OneHotEncoder",
    "sklearn.cluster": "KMeans",
    "sklearn.decomposition": "PCA",
    "sklearn.metrics": "accuracy_score mean_squared_error r2_score confusion_matrix",
    "bs4": "BeautifulSoup",
    "tqdm": "tqdm",
    "PIL": "Image",
}
IMPORTS: Final[dict[str, str]] = {
    **{name: f"import {name}" for name in _MODULES},
    **{
        name: f"from {module} import {name}"
        for module, names in _MEMBERS.items()
        for name in names.split()
    },
    **_ALIASES,
}
OF_DATETIME = words("now today strptime fromtimestamp fromisoformat utcnow combine")
"""What is called on the class ``datetime``, never on the module of that name."""
_THIRD_PARTY = words("""
    numpy pandas matplotlib seaborn statsmodels networkx sympy xarray sklearn bs4 tqdm PIL scipy
    openpyxl yaml cv2
    """)


@dataclass(frozen=True, kw_only=True)
class Use:
    """How a name that nothing defines is used."""

    name: str
    member: str | None = None
    """``now`` in ``name.now``."""
    called: bool = False
    """As in ``name(...)`` or ``@name``."""


def import_for(use: Use, installed: Collection[str] | None) -> str | None:
    """The import statement that surely defines a name, used as it is.

    Args:
        use: the name and how it is used.
        installed: the packages that there are; None: all of them.
    """
    if (statement := _import_of_datetime(use)) is not None:
        return statement
    if (statement := IMPORTS.get(use.name)) is None:
        return None
    _, module, *rest = statement.split()
    is_module = not rest or rest[0] == "as" or use.name == "stats"
    fits = use.member is not None if is_module else use.called or not use.name.islower()
    top = module.partition(".")[0]
    is_there = installed is None or top in installed or top not in _THIRD_PARTY
    return statement if fits and is_there else None


def _import_of_datetime(use: Use) -> str | None:
    """``datetime.now()`` is said of the class, ``datetime.datetime`` of the module."""
    if use.name in ("datetime", "date"):
        is_module = use.name == "datetime" and use.member not in OF_DATETIME and not use.called
        return "import datetime" if is_module else f"from datetime import {use.name}"
    return None

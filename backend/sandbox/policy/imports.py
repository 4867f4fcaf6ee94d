"""Which imports the static check allows and which it refuses. Tables only.

Decided in favour, with reasons: ``multiprocessing``, ``threading``, ``concurrent`` and
``signal`` (the kernel limits processes and time from outside, a program cannot lift that),
``sqlite3`` (reads data files; loading extensions is refused), ``inspect`` and ``gc`` (harmless
without frame globals), ``resource`` (a limit can only be lowered), ``mmap``, ``tempfile``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from backend.sandbox.policy.bans import Ban, table, words

_PROCESSES = Ban(
    why="would start other programs, which is not allowed here",
    instead="Do the work in Python itself: pathlib and shutil for files, zipfile for archives, pandas for data.",
)
_NATIVE = Ban(
    why="would reach memory and libraries past the interpreter",
    instead="Use numpy, array or struct for binary data.",
)
SOCKETS = Ban(
    why="would open network connections, which programs here do not have",
    instead="Work with the input files in the working directory; leave the connection out.",
)
NETWORK = Ban(
    why="needs the network, which programs here do not have",
    instead="Read the data from the input files in the working directory; if the data is not there, say so with print().",
    severity="error",
    network=True,
)
CODE_LOADING = Ban(
    why="would load or run code by name",
    instead="Write ordinary import statements at the top of the program.",
)
_UNPICKLING = Ban(
    why="runs code that is hidden in the data it loads",
    instead="Keep data as JSON (json), CSV or Parquet (pandas), or .npy (numpy.save).",
)
_BUILTINS = Ban(
    why="is a way round the checks on built-in functions",
    instead="Call built-in functions directly, without importing the module.",
)
_TERMINAL = Ban(
    why="needs a terminal, and programs here have none",
    instead="Print the results with print().",
    severity="error",
)
_DISPLAY = Ban(
    why="needs a display, and programs here have none",
    instead="Draw with matplotlib and call plt.savefig('plot.png') or plt.show(); figures are returned as files.",
    severity="error",
)
_INSTALLING = Ban(
    why="would install packages, which programs cannot do here",
    instead="Use the packages that are there: numpy, pandas, scipy, sklearn, statsmodels, matplotlib, seaborn, sympy.",
    severity="error",
)
_ACCOUNTS = Ban(
    why="reads the accounts of the machine, which are not visible here",
    instead="Leave it out; the program needs no user name.",
    severity="error",
)
_PLATFORM = Ban(
    why="does not exist on Linux, where programs run",
    instead="Use the portable standard library instead.",
    severity="error",
)
_SERVERS = Ban(
    why="would serve a network, which programs here do not have",
    instead="Write the results to a file in the working directory, or print() them.",
    severity="error",
)
_MACHINE = Ban(
    why="looks at the machine's processes, which are not visible here",
    instead="Use time for durations, tracemalloc or resource.getrusage for memory.",
    severity="error",
)

BANNED_IMPORTS = table(
    ("subprocess pty pexpect ptyprocess sh plumbum fabric invoke popen2 commands", _PROCESSES),
    ("multiprocessing.popen_fork multiprocessing.popen_spawn_posix posix nt", _PROCESSES),
    ("ctypes cffi _ctypes numpy.ctypeslib numpy.f2py numpy.distutils", _NATIVE),
    ("socket _socket socketserver paramiko scapy asyncore asynchat", SOCKETS),
    ("importlib imp runpy pkgutil zipimport zipapp code codeop pip._internal", CODE_LOADING),
    ("pickle _pickle cPickle pickletools marshal shelve dill cloudpickle jsonpickle", _UNPICKLING),
    ("pandas.io.pickle", _UNPICKLING),
    ("builtins __builtin__ __builtins__", _BUILTINS),
    ("requests httpx aiohttp urllib3 urllib2 httplib2 httpcore pycurl websockets websocket", NETWORK),
    ("urllib.request http.client http.cookiejar ftplib smtplib poplib imaplib nntplib", NETWORK),
    ("telnetlib xmlrpc ssl boto3 google selenium playwright scrapy wget gdown", NETWORK),
    ("yfinance pandas_datareader openai ollama kaggle", NETWORK),
    ("http.server wsgiref smtpd flask fastapi django uvicorn tornado streamlit dash gradio", _SERVERS),
    ("tkinter _tkinter turtle turtledemo idlelib wx gi PyQt4 PyQt5 PyQt6 PySide2 PySide6", _DISPLAY),
    ("pygame pyglet kivy easygui pyautogui pyperclip webbrowser antigravity cairo", _DISPLAY),
    ("curses _curses readline rlcompleter pdb bdb getpass termios tty cmd", _TERMINAL),
    ("pip ensurepip venv distutils setuptools pkg_resources virtualenv", _INSTALLING),
    ("pwd grp spwd crypt nis syslog", _ACCOUNTS),
    ("winreg winsound msvcrt msilib _winapi win32api win32com pythoncom ossaudiodev", _PLATFORM),
    ("psutil watchdog fcntl", _MACHINE),
)  # fmt: skip
BLOCKED_IMPORTS = frozenset(BANNED_IMPORTS)

_THIRD_PARTY = words("""
    numpy scipy pandas matplotlib mpl_toolkits pylab seaborn plotly altair bokeh
    sklearn statsmodels sympy mpmath networkx patsy formulaic joblib threadpoolctl
    xgboost lightgbm catboost torch torchvision tensorflow keras jax numba cupy
    cv2 PIL skimage imageio tifffile wordcloud squarify
    openpyxl xlrd xlsxwriter odf pyxlsb docx pptx pypdf PyPDF2 pdfplumber fitz reportlab
    bs4 lxml html5lib soupsieve yaml toml tomli tomlkit xmltodict markdown jinja2 markupsafe
    chardet charset_normalizer unidecode ftfy regex orjson simplejson jsonschema
    h5py tables pyarrow fastparquet netCDF4 xarray zarr polars duckdb sqlalchemy sqlparse
    dateutil pytz tzdata tzlocal pendulum arrow holidays humanize
    nltk spacy textblob gensim jieba rapidfuzz Levenshtein emoji
    shapely geopandas folium pyproj
    tabulate prettytable tqdm rich colorama termcolor cycler contourpy kiwisolver pyparsing
    colorspacious fontTools packaging
    typing_extensions attr attrs pydantic more_itertools toolz sortedcontainers bitarray
    six numexpr bottleneck cvxpy pulp lifelines arch prophet pmdarima numpy_financial
    faker graphviz qrcode narwhals defusedxml pytest hypothesis
    """)
_STANDARD = frozenset(
    name for name in sys.stdlib_module_names if not name.startswith("_")
) - frozenset(BLOCKED_IMPORTS)
SAFE_PACKAGES = _THIRD_PARTY | _STANDARD | {"__future__"}

USUAL_PACKAGES = (
    "numpy", "pandas", "scipy", "sklearn", "statsmodels", "matplotlib", "seaborn", "sympy", "networkx",
)  # fmt: skip
ABSENCE_ERRORS = words("ImportError ModuleNotFoundError OSError URLError Exception BaseException")


def module_and_parents(name: str) -> Iterator[str]:
    """``a.b.c`` -> ``a``, ``a.b``, ``a.b.c``."""
    for place, letter in enumerate(name):
        if letter == ".":
            yield name[:place]
    yield name

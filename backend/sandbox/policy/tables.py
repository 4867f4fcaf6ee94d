"""Which names, attributes, calls and paths the static check refuses. Tables only."""

from __future__ import annotations

import re

from backend.sandbox.policy.bans import Ban, table, words
from backend.sandbox.policy.imports import BANNED_IMPORTS, CODE_LOADING, SOCKETS

# --- names and attributes --------------------------------------------------------------------

RUN_TEXT = Ban(
    why="runs text as code, which cannot be checked",
    instead="Use ast.literal_eval() for literals, float() for numbers, a dict of functions for choices, or write the code out.",
)
ESCAPE = Ban(
    why="reaches the interpreter's internals",
    instead="Leave it out; use the object's public methods, type(x).__name__ or isinstance().",
)
_BY_SHELL = Ban(
    why="starts or replaces a process, which is not allowed here",
    instead="Do it in Python: pathlib and shutil for files; packages cannot be installed.",
)
_SIGNALS = Ban(
    why="acts on processes, which is not allowed here",
    instead="End the program with sys.exit(); stop a thread with an Event.",
)
_PRIVILEGES = Ban(
    why="changes users or the file system's root, which is not allowed here",
    instead="Leave it out; the program may write in its working directory as it is.",
)
UNPICKLE_CALL = Ban(
    why="runs code that is hidden in the file it reads",
    instead="Read CSV, Parquet, JSON or .npy files instead (pandas.read_csv, numpy.load without allow_pickle).",
)
_EXTENSION = Ban(
    why="loads native code into the database", instead="Use plain SQL, or pandas for the rest."
)
_NO_DEBUGGER = Ban(
    why="waits for a debugger's input, which never comes here",
    instead="Remove it and print() what you want to see.",
    severity="error",
)
_NO_NOTEBOOK = Ban(
    why="exists in notebooks only",
    instead="Write plain Python: no magics, no shell lines.",
    severity="error",
)
_NO_INPUT = Ban(
    why="gets no answer here: there is nobody to type, so it raises EOFError",
    instead="Set the values in the program, or read them from an input file.",
    severity="advice",
)

NO_SCREEN = Ban(
    why="needs a display, and programs here have none",
    instead="Leave the backend unset; figures are saved and returned as files.",
    severity="advice",
)

BANNED_NAMES = table(
    ("eval exec compile", RUN_TEXT),
    ("__import__", CODE_LOADING),
    ("__builtins__ __loader__ __spec__", ESCAPE),
    ("breakpoint", _NO_DEBUGGER),
    ("get_ipython", _NO_NOTEBOOK),
    ("input raw_input", _NO_INPUT),
)

_OS = table(
    ("system popen popen2 popen3 popen4 startfile fork forkpty posix_spawn posix_spawnp", _BY_SHELL),
    ("execl execle execlp execlpe execv execve execvp execvpe", _BY_SHELL),
    ("spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe", _BY_SHELL),
    ("kill killpg abort _exit pidfd_open", _SIGNALS),
    ("chroot chown lchown fchown setuid setgid seteuid setegid setreuid setregid", _PRIVILEGES),
    ("setresuid setresgid setgroups initgroups mknod unshare setns pivot_root", _PRIVILEGES),
)  # fmt: skip
_SYS = table(
    (
        "modules meta_path path_hooks path_importer_cache settrace setprofile addaudithook",
        ESCAPE,
    ),
)
_ASYNCIO = table(("open_connection open_unix_connection start_server", SOCKETS))

# Module (the last part of its path) -> attribute -> ban.
BANNED_OF_MODULE: dict[str, dict[str, Ban]] = {
    "os": _OS,
    "posix": _OS,
    "sys": _SYS,
    "asyncio": _ASYNCIO,
    "signal": table(("pthread_kill raise_signal pidfd_send_signal", _SIGNALS)),
    "gc": table(("get_objects get_referrers get_referents", ESCAPE)),
    "joblib": table(("load", UNPICKLE_CALL)),
    "torch": table(("load", UNPICKLE_CALL)),
    "yaml": table(("unsafe_load unsafe_load_all", UNPICKLE_CALL)),
    "builtins": table(("eval exec compile", RUN_TEXT), ("__import__", CODE_LOADING)),
}

# Attribute of anything -> ban.
BANNED_ATTRIBUTES = table(
    ("__subclasses__ __globals__ __builtins__ __loader__ __self__ func_globals", ESCAPE),
    ("__code__ gi_frame cr_frame ag_frame f_back f_globals f_builtins f_locals", ESCAPE),
    ("__import__", CODE_LOADING),
    ("read_pickle", UNPICKLE_CALL),
    ("create_subprocess_exec create_subprocess_shell subprocess_exec subprocess_shell", _BY_SHELL),
    ("enable_load_extension load_extension", _EXTENSION),
)
CLASS_TREE = frozenset({"__mro__", "__bases__", "__base__"})
READABLE_OF_CODE = words(
    "co_varnames co_argcount co_name co_filename co_firstlineno co_kwonlyargcount co_flags"
)
FORMAT_ESCAPES = ("__globals__", "__subclasses__", "__mro__", "__builtins__", "__base")
# As a text that is looked up: getattr(x, "..."), x.__dict__["..."], attrgetter("a.b").
BANNED_TEXTS = {
    **BANNED_ATTRIBUTES,
    **dict.fromkeys([*CLASS_TREE, "__class__", "__loader__", "__spec__"], ESCAPE),
}
BANNED_KEYS = {
    name: ban
    for name, ban in {**BANNED_ATTRIBUTES, **BANNED_NAMES}.items()
    if ban.severity == "security"
}
# A module that another module happened to import: np.os, shutil.sys, ...
HIDDEN_MODULES = {
    name: BANNED_IMPORTS[name]
    for name in sorted(
        words("subprocess ctypes socket importlib builtins pickle marshal pty posix")
    )
}
WATCHED_ATTRIBUTES = frozenset(
    {
        *BANNED_ATTRIBUTES,
        *CLASS_TREE,
        *HIDDEN_MODULES,
        *(name for attributes in BANNED_OF_MODULE.values() for name in attributes),
    }
)

# --- calls that take paths or addresses ------------------------------------------------------

FILE_CALLS = words("""
    open Path PosixPath listdir scandir walk glob iglob mkdir makedirs remove unlink rmdir
    removedirs rename renames rmtree copy copy2 copyfile copytree copymode move chmod symlink
    link truncate read_csv read_table read_excel read_json read_parquet read_feather read_html
    read_xml read_fwf read_hdf read_sas read_stata read_spss read_orc to_csv to_excel to_json
    to_parquet savefig imread imsave load save loadtxt savetxt genfromtxt fromfile tofile memmap
    connect ZipFile read_text read_bytes write_text write_bytes utime stat exists isfile
    """)
CHANGING_CALLS = words("""
    mkdir makedirs remove unlink rmdir removedirs rename renames rmtree copy copy2 copyfile
    copytree copymode move chmod symlink link truncate to_csv to_excel to_json to_parquet savefig
    imsave save savetxt tofile write_text write_bytes utime
    """)
ADDRESS_CALLS = words("""
    read_csv read_table read_excel read_json read_parquet read_html read_xml urlopen urlretrieve
    imread loadtxt genfromtxt
    """)
DOWNLOADS = words("""
    load_dataset fetch_openml fetch_california_housing fetch_20newsgroups fetch_olivetti_faces
    fetch_covtype fetch_lfw_people fetch_kddcup99 fetch_rcv1 get_rdataset
    """)

# Calls that read the file which their first argument names.
READING_CALLS = words("""
    open read_csv read_table read_excel read_json read_parquet read_feather read_html read_xml
    read_fwf read_hdf read_sas read_stata read_spss read_orc imread load loadtxt genfromtxt
    fromfile load_workbook ExcelFile Document Presentation PdfReader
    """)
READERS = words("""
    pandas numpy polars matplotlib PIL cv2 skimage imageio openpyxl docx pptx pypdf PyPDF2
    pdfplumber io gzip bz2 lzma codecs
    """)
"""Packages whose calls these are; in any other they may mean something else."""
USUAL_ALIASES = {"pd": "pandas", "np": "numpy", "plt": "matplotlib.pyplot"}
ENDLESS_CALLS = frozenset({"count", "cycle", "repeat"})

ADDRESSES = ("http://", "https://", "ftp://", "s3://", "gs://")
GETATTR_CALLS = frozenset({"getattr", "setattr", "delattr", "__getattribute__"})
GETTER_CALLS = frozenset({"attrgetter", "methodcaller"})
LOAD_CALLS = frozenset({"load", "load_all"})
SAFE_LOADERS = words("SafeLoader CSafeLoader BaseLoader CBaseLoader FullLoader CFullLoader")
CODE_TYPES = frozenset({"FunctionType", "CodeType"})
QUERY_CALLS = frozenset({"query", "eval"})
DOWNLOADING_PACKAGES = frozenset({"seaborn", "sklearn", "statsmodels", "datasets"})
BACKEND_PATHS = frozenset({"matplotlib.use", "matplotlib.pyplot.switch_backend"})
BACKEND_CALLS = frozenset({"use", "switch_backend"})
SCREEN_BACKENDS = words("""
    tkagg qtagg qt5agg qt4agg wxagg gtk3agg gtk4agg gtk3cairo gtk4cairo macosx webagg nbagg
    tkcairo qtcairo wx ipympl notebook
    """)
WATCHED_CALLS = (
    FILE_CALLS | READING_CALLS | ADDRESS_CALLS | DOWNLOADS | GETATTR_CALLS | GETTER_CALLS | LOAD_CALLS
    | CODE_TYPES | QUERY_CALLS | BACKEND_CALLS
)  # fmt: skip

# Nothing a program about data has to do with, wherever the text stands. Not "/etc" as a whole:
# texts about paths are common.
SECRET_PATH = re.compile(
    r"(?:file://)?(?:\.{0,2}/)*(?:"
    r"(?:etc|~?)/(?:passwd|shadow|gshadow|sudoers|master\.passwd)-?|etc/(?:ssh|sudoers\.d|ssl/private)/\S*"
    r"|root/\S+|(?:home/[^/\s]+|~)/\.(?:ssh|aws|gnupg|kube|netrc|bash_history|git-credentials)\S*"
    r"|(?:var/)?run/docker\.sock|proc/(?:1|kcore|kmem|kallsyms|self/(?:mem|environ|root))\S*"
    r"|dev/(?:sd[a-z]|nvme|vd[a-z]|mem|kmem|disk)\S*"
    r")",
)
# Reading there looks at the machine, changing there harms it.
MACHINE_PATH = re.compile(r"/+(?:etc|root|boot|proc|sys|dev)(?:/|$)")
SYSTEM_PATH = re.compile(
    r"(?:/|\.\./)+(?:etc|root|boot|proc|sys|dev|usr|bin|sbin|lib|lib64|var|home|opt)(?:/|$)"
    r"|/+\*?$|~/?\*?$|[A-Za-z]:[\\/](?:Windows|$)"
)
ELSEWHERE = re.compile(r"/(?!tmp/|tmp$|workspace)|~|\.\./|[A-Za-z]:[\\/]")
HARMLESS_PATH = re.compile(
    r"/+(?:dev/(?:null|stdout|stderr|stdin|u?random|shm)\b"
    r"|proc/(?:cpuinfo|meminfo|stat|uptime|loadavg|version|self/(?:status|stat|statm|maps))$"
    r"|etc/(?:os-release|timezone|localtime|mime\.types|fonts)|usr/share/|var/tmp/)"
)
OUTSIDE = Ban(
    why="lies outside the working directory",
    instead="Read and write files by their plain names in the working directory, e.g. open('data.csv').",
)

"""Which language a request is to be answered in: Python, unless it asks for the shell."""

from __future__ import annotations

import ast
import re
from typing import Final

from backend.foreign_code import parse
from backend.types import Language

_MAX_CHARS = 4000
"""Of a request; what it asks for stands at its beginning or end, data in between."""


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


_SHELLS = r"(?:bash|zsh|ksh|sh|shell|셸|쉘|배시)"
_PYTHONS = r"(?:python ?3?|py3|파이썬)"
_FILLERS = r"(?:(?:a|an|the|this|my|your|any|some|use|using|of|in|with|plain|pure|existing|following|old)\s+){0,5}"
_FILES = (
    r"(?:files?|folders?|director(?:y|ies)|sub-?folders?|sub-?director(?:y|ies))\b(?!['\u2019])"
)

_TURNED_AWAY: Final = _any(
    rf"\b(?:not|no|without|never|avoid|instead of|rather than|don'?t|unlike)\s+{_FILLERS}"
    rf"(?:{_SHELLS}|{_PYTHONS}|pandas|numpy)\b(?:[\s-]+(?:scripts?|code|commands?|programs?))?",
    rf"\b(?:convert|translate|port|rewrite|turn|replace|change|transform|from)\s+{_FILLERS}"
    rf"(?:{_SHELLS}|{_PYTHONS})\b(?:[\s-]+(?:scripts?|code|commands?|programs?|functions?))?",
    rf"\b(?:runs|running|calls|calling|invokes|invoking|executes|executing|launches|starts)\s+"
    rf"{_FILLERS}(?:{_PYTHONS}\b(?!\s+script that)|{_SHELLS}\s+(?:scripts?|commands?))",
    r"\bshell[\s-]?sort\w*|\bmonty python\b|\b(?:ball|burmese|reticulated) pythons?\b",
)
"""Named, and not as what is to be written."""

_BASH_NAMED: Final = _any(
    rf"(?<![\w.-]){_SHELLS}[\s-]*(?:scripts?|commands?|one[ -]?liners?|functions?|programs?|code|loops?"
    r"|pipelines?|snippets?|스크립트|명령)",
    r"\bcron ?(?:jobs?|tabs?)\b",
    r"\b(?:in|using|with|via|use|write|as|into|to)\s+(?:(?:plain|pure|only|just|some|posix)\s+){0,3}"
    r"(?:bash|zsh)\b(?!\s+(?:the|out|together|this|those)\b)",
    r"\b(?:in|using|with|via|use|from|on|write)\s+(?:(?:the|a|plain|pure|posix|unix|linux)\s+){0,3}"
    r"(?:shell|terminal|command[ -]line)(?=\s*(?:$|[,.:;!?)]|to\b|that\b|which\b|please\b))",
    r"\b(?:unix|linux|terminal|posix|cli)\s+(?:commands?|one[ -]?liners?|pipelines?|tools?|utilit\w+)",
    r"^\s*(?:bash|shell|sh)\s*[:,]",
    r"#!\s*/(?:usr/)?bin/(?:env )?(?:ba|z)?sh\b",
    r"```(?:bash|sh|shell)\b",
    r"(?<![\w/.-])[\w-]{1,80}\.sh\b",
    r"(?:bash|셸|쉘|배시)(?:로|에서)",
)

_PYTHON_NAMED: Final = _any(
    rf"(?<![\w.]){_PYTHONS}(?![\w.]*\.sh)",
    r"(?<![\w-])[\w-]{1,80}\.(?:py|ipynb)\b",
    r"\b(?:pandas|numpy|scipy|matplotlib|pyplot|seaborn|plotly|sympy|sklearn|scikit-learn|statsmodels"
    r"|networkx|pathlib|os\.(?:walk|listdir|path)|jupyter|data ?frames?|list comprehensions?)\b",
)

_SHELL_TOOLS: Final = _any(
    r"(?<![\w.-])(?:grep|egrep|zgrep|ripgrep|awk|gawk|xargs|uniq|chmod|crontab)(?![\w.(-])",
    r"\b(?:with|using|use|via|a)\s+`?sed\b|\bsed\s*(?:[-:'\"`]|command|script|one[ -]?liner)|^sed\b",
    r"(?<![\w.-])(?:ls|du|df|tar|ps|wc|sort|uniq|head|tail|cut|find|cat|cp|mv|rm|mkdir|tr|gzip)\s+-{1,2}[a-z]",
    r"\b(?:with|using|use|via)\s+(?:the\s+)?`?(?:ls|du|wc|find|tar|uniq|tr)\b`?(?!\s+(?:of|the)\b)",
    r"`(?:ls|du|df|wc|find|tar|cat|head|tail|sort|uniq|cut|tr|ps|env|stat)\b",
    r"\b(?:ls|du|wc|find|tar|uniq|cat) command\b",
    r"\|\s*(?:sort|uniq|wc|head|tail|cut|tr|less)\b",
)

_SHELL_TASKS: Final = _any(
    rf"\b(?:list|show|display|print|see|enumerate)\b(?:\s+(?:me|us|all|of|the|every|hidden|my|your|any|each"
    rf"|\*?\.?\w+)){{0,4}}?\s+{_FILES}",
    rf"\b(?:how many|count|number of|amount of)\s+(?:(?:the|all|of|number|hidden|regular|empty|\*?\.\w+|\w+)\s+)?{_FILES}"
    r"(?!\s+(?:would|could|can|will|were|was|fit)\b)",
    rf"\b(?:largest|biggest|smallest|newest|oldest|most recent|empty|hidden|duplicate)\s+(?:\w+\s+)?{_FILES}",
    rf"\b(?:find|search|locate)\b.{{0,30}}\b{_FILES}",
    rf"\b(?:rename|move|copy|delete|remove|archive|compress|back ?up|zip|tar)\s.{{0,30}}\b{_FILES}",
    r"\b(?:what|which)\s+(?:\w+\s+)?(?:files|folders|directories)\b",
    r"\bwhat(?:'s| is| are| lies)\s+in\s+(?:this|the|my|that)\s+(?:\w+\s+)?(?:folder|directory)\b",
    r"\bhow (?:big|large) (?:is|are)\b.{0,20}\b(?:files?|folders?|director(?:y|ies))\b",
    r"\bextensions? of\b.{0,20}\bfiles\b",
    r"\b(?:files|folders|directories)\s+(?:larger|bigger|smaller|older|newer|modified|ending|named|matching)\b",
    r"\bhow much (?:disk )?space\b.{0,20}\b(?:files?|(?:sub-?)?(?:folders?|director(?:y|ies)))\b",
    r"\bdisk[\s-](?:usage|space)|\b(?:free|used) (?:disk )?space\b",
    rf"\bsizes? of (?:the|this|each|every|all)\s+(?:\w+\s+)?{_FILES}",
    r"\b(?:directory|folder)(?: tree| structure| listing| sizes?)\b",
    r"\b(?:count|number of|how many)\s+(?:(?:the|of|number|total)\s+){0,4}lines\b.{0,30}(?:files?\b|\*\.|\.\w+|\blogs?\b)",
    r"\b(?:first|last)\s+\d+\s+lines\s+of\b",
    r"\b(?:occurs?|appears?|occurrences?|error|warning|line|word|string|text|pattern|todo)\w*['\"]?\s+(?:in|from|across)\s+(?:all\s+)?(?:the\s+|my\s+)?(?:\w+\s+)?(?:logs?\b|log files|\*\.)",
    r"\bfile permissions?\b|\bmake \S+ executable\b|\benvironment variables?\b",
    r"\b(?:current|working) (?:working )?directory\b|\brunning processes\b|\b(?:kernel|os) version\b|\buptime\b",
    r"파일 ?목록|디스크 ?(?:사용량|용량)",
)

_DATA_WORDS: Final = _any(
    r"\b(?:columns?|rows?|cells?|sheets?|workbooks?|spreadsheets?|tables?|datasets?|data)\b(?!/)",
    r"\b(?:plots?|charts?|graphs?|histograms?|scatter|heat ?maps?|figures?|visuali[sz]\w*|draw)\b",
    r"\b(?:mean|median|averages?|variance|deviation|statistics|statistical|percentiles?|quantiles?)\b",
    r"\b(?:correlat\w+|regress\w+|predict\w*|forecast\w*|classif\w+|cluster\w*|train\w*|models?|trends?)\b",
    r"\b(?:primes?|fibonacci|matrix|matrices|equations?|integrals?|simulat\w+|probabilit\w+|permutations?)\b",
    r"\b(?:algorithms?|functions?|class|classes|methods?|unit tests?|generators?|decorators?)\b",
    r"\b(?:audio|videos?|articles?|images?|photos?|pixels?|pdfs?|json|xml|parse)\b",
    r"(?<![*\w.-])[\w-]{1,80}\.(?:csv|tsv|xlsx?|json|parquet|db|sqlite|pdf|docx)\b",
    r"\b(?:sold|revenue|sales|customers?|per (?:day|month|year|category|user))\b",
)
"""What is easier with tables, numbers and pictures than with pipes."""


def language_of(code: str) -> Language | None:
    """The language of a program that is given; None where that cannot be told."""
    first = code.lstrip().partition("\n")[0]
    if first.startswith("#!"):
        return "bash" if re.search(r"\b(?:ba|z|k|da)?sh\b", first) else "python"
    tree = parse(code)
    if tree is None:
        return None
    # ``ls -la`` is Python, too: a difference of two names.
    telling = (ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.Call, ast.For)
    return "python" if any(isinstance(node, telling) for node in ast.walk(tree)) else None


def detect_language(request: str) -> Language:
    """The language to write a program in, judged by the request alone.

    What is named wins: a language to write in, a library of Python, a tool of the shell. Else work
    on files as such (listing, counting lines, disk usage) is Bash, and everything else Python, also
    where such work is but the beginning of one with data.
    """
    text = request if len(request) <= _MAX_CHARS else request[:_MAX_CHARS] + request[-_MAX_CHARS:]
    text = _TURNED_AWAY.sub(" … ", " ".join(text.split()))
    bash, python = _BASH_NAMED.search(text), _PYTHON_NAMED.search(text)
    if bash and python:
        return "bash" if bash.start() < python.start() else "python"
    if python:
        return "python"
    if bash or _SHELL_TOOLS.search(text):
        return "bash"
    return "bash" if _SHELL_TASKS.search(text) and not _DATA_WORDS.search(text) else "python"

"""What is known of errors by their words. A table only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from backend.tools.coder.diagnosis.case import Case, Diagnosis
from backend.tools.coder.diagnosis.signatures import signature_of
from backend.types import DiagnosisKind


@dataclass(frozen=True, kw_only=True)
class _Hint:
    types: str
    """Names of exceptions, blank separated; '' for any."""
    words: str
    """A regular expression that the message holds; '' for any."""
    cause: str
    advice: str
    kind: DiagnosisKind = "runtime"


_HINTS = (
    _Hint(
        types="ValueError",
        words=r"truth value of an? (Series|DataFrame|Index|array)",
        cause="A whole column stands where one True or False is needed.",
        advice="Combine conditions with & and |, each in parentheses; or use .any(), .all(), .empty.",
    ),
    _Hint(
        types="ValueError",
        words=r"broadcast|not aligned|mismatch in its core dimension|inhomogeneous shape|cannot reshape",
        cause="Arrays whose shapes do not fit each other are combined.",
        advice="Print the shapes, then reshape, transpose or select so that they fit.",
    ),
    _Hint(
        types="ValueError",
        words=r"same length|Length mismatch|Length of values|inconsistent numbers of samples|same first dimension|must be of equal",
        cause="Columns or lists of different lengths are put together.",
        advice="Print both lengths; filter both in the same way, or align them by index.",
    ),
    _Hint(
        types="ValueError TypeError",
        words=r"empty (sequence|iterable|array|slice)|at least one data point|No objects to concatenate|zero-size array",
        cause="There is nothing to work on: a filter or a search found nothing.",
        advice="Check the filter against the real values, and deal with the empty case.",
    ),
    _Hint(
        types="ValueError",
        words=r"(not enough|too many) values to unpack",
        cause="Something has more or fewer parts than there are names for them.",
        advice="Look at one such value first; take its parts by position.",
    ),
    _Hint(
        types="ValueError InvalidIndexError",
        words=r"duplicate (labels|entries|axis)|uniquely valued Index|cannot reindex",
        cause="The index holds the same label twice.",
        advice="Use reset_index(drop=True) or drop_duplicates() first, or aggregate (pivot_table).",
        kind="data",
    ),
    _Hint(
        types="MergeError ValueError",
        words=r"[Yy]ou are trying to merge on|No common columns|Merge keys",
        cause="The tables have no key of one name and type in common.",
        advice="Give left_on= and right_on=, and bring both to one type with astype(str).",
        kind="data",
    ),
    _Hint(
        types="TypeError",
        words=r"unsupported operand|not supported between|can only concatenate|must be str, not|must be real number|not supported for the input types",
        cause="Values of different types are combined.",
        advice="Convert first: int() or float() for numbers, str() for text, pd.to_numeric for a column.",
    ),
    _Hint(
        types="TypeError",
        words=r"unexpected keyword argument|positional argument|required keyword|takes no arguments",
        cause="A function is called with arguments that it does not take.",
        advice="Leave out or correct that argument, as the installed version has it.",
    ),
    _Hint(
        types="TypeError",
        words=r"is not callable",
        cause="Something that is no function is called; its name may have been given to a variable.",
        advice="Do not name variables like functions (list, sum, max); use [] for indexes.",
    ),
    _Hint(
        types="TypeError",
        words=r"not subscriptable|not iterable|has no len\(\)|object is not an iterator",
        cause="Something is used as a list or a table, and is none.",
        advice="Look at its type: it may be None, a number or a function that was not called.",
    ),
    _Hint(
        types="TypeError",
        words=r"not JSON serializable",
        cause="json cannot write values of numpy or pandas.",
        advice="Convert them with int(), float(), str() or .tolist(), or pass default=str.",
    ),
    _Hint(
        types="TypeError",
        words=r"unhashable type",
        cause="A list or a dictionary is used as a key.",
        advice="Use a tuple in its place.",
    ),
    _Hint(
        types="TypeError",
        words=r"indices must be integers",
        cause="A list or a text is indexed by a name.",
        advice="Go through the list first, or parse the text (json.loads) first.",
    ),
    _Hint(
        types="IndexError",
        words="",
        cause="A position is asked for that is not there.",
        advice="Check the length first; positions go from 0 to len - 1.",
    ),
    _Hint(
        types="ZeroDivisionError FloatingPointError",
        words="",
        cause="It divides by zero.",
        advice="Deal with the case that the divisor is 0, or find out why it is.",
    ),
    _Hint(
        types="RecursionError",
        words="",
        cause="A function calls itself without an end, or too deep.",
        advice="Use a loop, or check the case in which it ends.",
    ),
    _Hint(
        types="OverflowError",
        words="",
        cause="A number is too large for its type.",
        advice="Use Python's int, Decimal or logarithms.",
    ),
    _Hint(
        types="StatisticsError",
        words="",
        cause="There are too few values for this statistic.",
        advice="Check what the filter leaves, and deal with too few values.",
        kind="data",
    ),
    _Hint(
        types="UnicodeEncodeError",
        words="",
        cause="A text cannot be written in this encoding.",
        advice="Open the file with encoding='utf-8'.",
        kind="data",
    ),
    _Hint(
        types="IsADirectoryError NotADirectoryError",
        words="",
        cause="A folder is taken for a file, or a file for a folder.",
        advice="List the folder first, and take the files from it.",
        kind="data",
    ),
    _Hint(
        types="FileExistsError",
        words="",
        cause="The file or folder is there already.",
        advice="Use exist_ok=True, or another name.",
    ),
    _Hint(
        types="RuntimeError",
        words=r"can't start new thread",
        cause="It starts more threads than it may.",
        advice="Use one thread.",
        kind="environment",
    ),
    _Hint(
        types="RuntimeError",
        words=r"changed size during iteration|changed during iteration",
        cause="A dictionary or set is changed while it is gone through.",
        advice="Go through list(...) of it.",
    ),
    _Hint(
        types="RuntimeError",
        words=r"event loop is (already running|closed)|cannot be called from a running event loop",
        cause="asyncio is started twice.",
        advice="Call asyncio.run() once, at the end of the program.",
    ),
    _Hint(
        types="NotImplementedError",
        words="",
        cause="A part of the program, or of a library, is not written.",
        advice="Write it, or do without it.",
    ),
    _Hint(
        types="LinAlgError",
        words="",
        cause="The matrix cannot be treated like this: it may be singular.",
        advice="Use np.linalg.lstsq or pinv, and look for columns that depend on each other.",
        kind="data",
    ),
    _Hint(
        types="TclError",
        words="",
        cause="It wants to open a window, and there is no display.",
        advice="Use matplotlib with savefig() in its place.",
        kind="environment",
    ),
    _Hint(
        types="KeyboardInterrupt",
        words="",
        cause="It was interrupted.",
        advice="Do not send signals to itself.",
    ),
    _Hint(
        types="StopIteration",
        words="",
        cause="next() finds nothing more.",
        advice="Give next() a default value.",
    ),
)


def known(case: Case) -> Diagnosis | None:
    """The first hint that fits."""
    for hint in _HINTS if case.failure is not None else ():
        if case.type in hint.types.split() and re.search(hint.words, case.message):
            said = f" {case.message[:200]}" if case.message else ""
            return Diagnosis(
                kind=hint.kind,
                root_cause=f"{hint.cause}{said}",
                advice=(hint.advice,),
                signature=signature_of(hint.kind, case),
            )
    return None

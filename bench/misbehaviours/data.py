"""Programs that take the data for other than it is."""

from __future__ import annotations

from bench.misbehaviours.case import Misbehaviour, right
from bench.misbehaviours.saying import repairs, writes

_SALES = {"sales.csv": b"region,amount\nnorth,10\nsouth,32\n"}
_SEMICOLONS = {"sales.csv": b"region;amount\nnorth;10\nsouth;32\n"}
_LATIN = {"sales.csv": "region,amount\nköln,10\nnîmes,32\n".encode("cp1252")}
_TOTAL = "Give the total amount in sales.csv."
_READ = "import pandas as pd\nsales = pd.read_csv('sales.csv')\n"
_GOOD = f"{_READ}print('total', sales['amount'].sum())"
_RULE = right("total 42", calls=3, runs=1, mended="rule")
_RULE_AFTER_A_RUN = right("total 42", calls=3, runs=2, mended="rule")

CASES = (
    Misbehaviour(
        does="forgets the import",
        request=_TOTAL,
        files=_SALES,
        lines=(writes("sales = pd.read_csv('sales.csv')\nprint('total', sales['amount'].sum())"),),
        end=_RULE,
    ),
    Misbehaviour(
        does="reads where hosted interpreters have files: /mnt/data/sales.csv",
        request=_TOTAL,
        files=_SALES,
        lines=(writes(_GOOD.replace("'sales.csv'", "'/mnt/data/sales.csv'")),),
        end=right("total 42", calls=3),
    ),
    Misbehaviour(
        does="reads a path of another machine: C:\\data\\Sales.csv",
        request=_TOTAL,
        files=_SALES,
        lines=(writes(_GOOD.replace("'sales.csv'", "r'C:\\data\\Sales.csv'")),),
        end=_RULE,
    ),
    Misbehaviour(
        does="gives a column other letters: 'Amount'",
        request=_TOTAL,
        files=_SALES,
        lines=(writes(_GOOD.replace("'amount'", "'Amount'")),),
        end=_RULE,
    ),
    Misbehaviour(
        does="invents a column, and is told the real ones",
        request=_TOTAL,
        files=_SALES,
        lines=(
            writes(_GOOD.replace("'amount'", "'turnover'")),
            repairs(_GOOD, when="turnover.*amount"),
        ),
        end=right("total 42", calls=4, runs=2, mended="repair"),
    ),
    Misbehaviour(
        does="misses the encoding",
        request=_TOTAL,
        files=_LATIN,
        lines=(writes(_GOOD),),
        end=_RULE_AFTER_A_RUN,
    ),
    Misbehaviour(
        does="misses the delimiter",
        request=_TOTAL,
        files=_SEMICOLONS,
        lines=(writes(_GOOD),),
        end=_RULE_AFTER_A_RUN,
    ),
    Misbehaviour(
        does="invents a file, and is told which there are",
        request=_TOTAL,
        files=_SALES,
        lines=(
            writes("print('total', sum(map(int, open('totals.txt'))))"),
            repairs(_GOOD, when="totals.txt.*sales.csv"),
        ),
        end=right("total 42", calls=4, runs=2, mended="repair"),
    ),
    Misbehaviour(
        does="overwrites the input file",
        request=_TOTAL,
        files=_SALES,
        lines=(
            writes("open('sales.csv', 'w').write('amount\\n1\\n')\nprint('total 1')"),
            repairs(_GOOD),
        ),
        end=right("total 42", calls=4, runs=2, mended="repair"),
    ),
)

"""The router's table: every term it knows, with its weight. Change behaviour here, not in code.

A term is matched as whole words, case aside; ``*`` at its end stands for any ending. It counts once,
however often it stands there, and within a longer one as well. What is quoted is no term, and code and
data words are none behind a negation. ``python -m bench router`` says how often the table is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

TermClass = Literal["sequence", "breadth", "code", "data", "talk"]
StepFeature = Literal[
    "length",
    "commas",
    "ands",
    "deeds",
    "results",
    "new things",
    "places",
    "had",
    "used",
]

TERMS: Mapping[TermClass, Mapping[float, str]] = {
    # One thing after another: each step waits for what the one before it found.
    "sequence": {
        2.0: "step by step, depending on",
        1.5: """then, after that, one by one, based on the result, and use the result, until,
            drill down""",
        1.0: "first, next, afterwards, finally, if, otherwise, follow up, zuerst, danach, dann, falls",
    },
    # Many things side by side: they can be planned before any of them is done.
    "breadth": {
        2.0: """comprehensive, comprehensively, complete analysis, complete overview, complete report,
            full analysis, detailed report, in parallel, simultaneously, independently, separately,
            several angles, ausführlich*, bericht*, 종합적*, 보고서*""",
        1.5: """and also, as well as, in addition, additionally, furthermore, moreover, along with,
            compare, thorough, in depth, dashboard, at the same time, side by side, do the following, following tasks, following points, for each, of each,
            each with, one for each, plus a, außerdem, zusätzlich, sowie, sowohl, vergleiche, 각각*, 비교*""",
        1.0: """both, all of, each of, each, comparison*, versus, report, overview, several, multiple,
            various, plan, together, together with, separate, different ways, summary, documentation,
            conclusion, recommendation*, charts, tests, end to end, beide, jeden, jeweils, mehrere, übersicht, für jede*, 또한""",
        0.5: """also, as well, plus, complete, different, a table, a chart, write up, explain in, two, three, four,
            five, drei, 세 가지""",
    },
    # A program is wanted, or what only a program gives.
    "code": {
        2.0: """python, code, script, scripts, pandas, numpy, matplotlib, seaborn, scipy, scikit-learn, sklearn,
            dataframe*, calcu*, simulat*, implement*, typeerror, valueerror, keyerror,
            traceback, berechne*, 코드*, 파이썬*""",
        1.5: """program, algorithm, function, functions, one liner, execute, debug, bug, compute, computes, computation, fibonacci,
            factorial, regex, unit tests, refactor*, programm*, funktion*, fakultät, 함수*, 계산*""",
        1.0: """run, sort, parse, reverse, encode, decode, print*, fix, faster, loop,
            class, solve*, integral, integrate, prime, primes, matrix, determinant, sqrt, equation*, md5, random,
            benchmark*, binary search, quicksort, mergesort, monte carlo, primzahl*, 정렬*, 합계*, 합을, 출력*""",
        0.5: "convert, generate",
    },
    # Data is at hand and something is to be found out from it.
    "data": {
        2.0: """csv, excel, xlsx, parquet, spreadsheet*, dataset*, data set, plot*, chart, charts, histogram*,
            heatmap*, scatter*, visuali*, correlat*, regression*, standard deviation, diagramm*,
            durchschnitt*, 데이터*, 평균*, 그래프*, 상관*, 막대*""",
        1.5: """column*, mean, median, average*, sum, how much, percent*, variance, graph, pie, mittelwert,
            anzahl, summe, tabelle, daten, statistic*, outlier*, cluster*, forecast*, group by, datei, spalte*, zeile*, 파일*, 중복*""",
        1.0: """data, table, tables, json, rows, total, count, how often, multiply, multiplied, divide, divided, round,
            per month, by month, trend, trends, distribution*, predict*, analy*, diagram, draw, bars,
            log scale, iris, wie viel*, 통계*, 분석*""",
        0.5: "file, files, row, how many, number of",
    },
    # Talk: nothing has to be worked out.
    "talk": {
        3.0: """hello, hi, good morning, good evening, how are you, how's it going, thanks, thank you,
            thx, bye, goodbye, good night, see you, who are you, are you, what can you do, do you think, what do you mean,
            don't understand, never mind, hallo, guten morgen, guten tag, guten abend, danke, tschüss, 안녕*, 고마*, 감사*""",
        2.5: """what is a, what is an, what does, explain what, explain how, difference between, what is
            the difference, what's the difference, idea behind, pros and cons, meaning of,
            meant by, stand for, stands for, good for, your opinion, was ist, was sind, was bedeutet,
            무엇*, 뭐야, 뭐예요""",
        2.0: """hey, ok, cool, lol, great, stop, i'm bored, tell me a, tell me about, joke,
            poem, story, haiku, rephrase, draft, email, explain, define, in your opinion,
            recommend, suggest, advice, tips, should i, better than, best way, proofread, synonym,
            lyrics, limerick, what are, how do, how do i, how do you, how does,
            who is, who was, who wrote, who invented, who discovered, who made, when did, when was,
            erkläre*, übersetze*, warum, wer hat,
            wer ist, wer war, wie heißt, wie geht's, wieso, erzähl*, gedicht, witz, 설명*, 농담*, 차이*, 번역*,
            추천*, 누구*, 어디*""",
        1.5: """what is, what's, why, where is, in what year, can you help, capital of, author of,
            opinion, favourite, simpler words, do you, did you, could you say,
            birthday, card, letter, essay, song, that's all, is wrong""",
        1.0: "translate, summarise this, summarize this",
    },
}
NEGATIONS = frozenset("no not don't never nothing without kein keine ohne".split())
QUESTIONS = frozenset(
    """what what's who who's whose why when where which how is are was were does did can could
    should would explain define warum wer wie wo wann was erkläre""".split()
)
"""Words that a question begins with. One that holds no number, code or file asks for knowledge."""
DEEDS = frozenset(
    """add adjust analyse analyze answer apply assess audit build calculate change check classify clean
    cluster collect color colorize colour combine compare compute convert correct count create cut deliver
    describe design detect determine develop discuss document download draw edit enhance estimate
    evaluate examine expand explain export extract fill filter find fix forecast generate get give group
    identify implement improve include insert join label list load locate look make measure merge modify
    obtain organize paraphrase perform plot predict prepare present print produce provide read recognize
    reduce remove rename rephrase replace report retrieve rewrite run save search segment select show
    simplify simulate solve sort split suggest summarise summarize tabulate tag test tell train transcribe
    transfer transform translate turn understand verify visualise visualize write""".split()
)
"""What a step is asked for with."""
WORDING = frozenset(
    """correct describe discuss explain give paraphrase rephrase rewrite suggest tell translate
    understand write""".split()
)
"""Deeds that only words come of."""
EXPLAINING = frozenset("describe discuss explain tell understand".split())
"""Those that a question about knowledge may have."""
NO_RESULTS = frozenset("need speed based used named called titled attached provided".split())
"""End in ``ed`` and name nothing that a step made; others (``the translated text``) do."""

STEPS: Mapping[StepFeature, float] = {
    "length": 0.74,  # ten words
    "commas": 0.26,
    "ands": 0.66,
    "deeds": 0.64,  # different ones
    "results": 1.27,  # "the edited image": made by one step for another
    "new things": 0.78,  # "a", "an"
    "places": 0.52,  # "in", "from", "into", "with", "about"
    "had": -1.08,  # "I have": what is there already
    "used": 0.80,  # "using", "based"
}
"""How much each speaks for many steps, and so for a plan: as ``python -m bench router-fit`` gives them.

Quotations do not count. The sum with ``STEPS_BASE`` counts where it is above 0.
"""
STEPS_BASE = -4.60

BASE_REACT = 1.0
"""What ReAct starts with: it can do everything the others do, and a tie goes to it."""
SEQUENCE_ALONE = 1.0
"""The most that sequence words count where no program is wanted: such steps can be planned."""
SEQUENCE_WORK = 0.5
"""How much more they may count for each point of the code and data score."""
MOST_SEQUENCE = 2.0
"""The most that they count at all."""
CODE_BOOST = 0.5
"""How much of the code and data score counts for ReAct: a program does many steps in one go."""
MOST_WORK = 4.0
"""The most of the code and data score that counts so."""
BREADTH_NEEDS = 2.0
"""Breadth from which on the boost counts for the plan, too: it runs programs as well."""
ENUMERATION = 1.0
"""For each item of an enumeration beyond the second: ``x of a, y of b, z of c and ...``."""
MOST_ITEMS = 3.0
"""The most items beyond the second that count."""
NUMBERED = 1.5
"""Items that a numbered one, or a sentence that begins with a deed, stands for."""
ARITHMETIC = 2.0
PASTED_CODE = 2.0
NUMBERS = 1.0
"""A number that is no year: something can be worked out with it."""
QUESTION = 1.0
"""One without numbers, code or file: talk."""
BRIEF = 0.5
"""For talk of up to ``BRIEF_WORDS`` words that holds nothing to work with."""
BRIEF_WORDS = 6
DEED = -1.5
"""What each deed takes from talk, if more than words come of it."""
ASKED_ABOUT = 0.5
"""What is left of the code and data score where such a question asks for nothing to be done: its words
are what it asks about."""
UNSURE = 0.25
"""Confidence below which a model is asked, where ``PYTHON_CODER_ROUTER_MODEL`` names one."""
NEEDS_CODE = 1.5
"""Code and data score, less the talk score, from which on an answer without a program would be a
guess; a named file speaks for that much."""

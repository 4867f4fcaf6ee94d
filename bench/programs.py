"""What is run, by us and by everybody we are measured against. Imports nothing: peers read it too."""

from __future__ import annotations

PRINT = "print(1)"
PANDAS = 'import pandas as pd; print(pd.DataFrame({"a": [1, 2, 3]}).a.sum())'
PANDAS_SAYS = "6"
PLOT = "import matplotlib.pyplot as plt; plt.plot([1, 4, 9]); plt.show()"

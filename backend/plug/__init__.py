"""``python_coder`` for whoever builds LangGraph agents: as a tool, as a node and as a subgraph.

from backend.plug import open_python_coder

async with open_python_coder() as coder:
    agent = create_agent(model, [coder.tool(folder="data")])
"""

from backend.plug.coder import PythonCoder, open_python_coder
from backend.plug.failure import PythonCoderFailed

__all__ = ["PythonCoder", "PythonCoderFailed", "open_python_coder"]

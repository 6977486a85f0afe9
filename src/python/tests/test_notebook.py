"""The notebook runs from its first cell to its last, and shows what it promises."""

from conftest import ROOT

import nbclient
import nbformat


def test_the_notebook_runs():
    notebook = nbformat.read(ROOT / "examples/startle.ipynb", as_version=4)
    folder = {"metadata": {"path": str(ROOT / "examples")}}
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=folder).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output["data"] for output in outputs if output.output_type == "execute_result"]
    assert sum("image/svg+xml" in data for data in shown) == 1 and any("<table>" in d.get("text/html", "") for d in shown)

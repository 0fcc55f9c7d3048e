"""Sphinx extension: whatever a page of the book needs lies in the site itself, so that it works with no network.

- plotly's script comes from the installed plotly package and is loaded only by pages that hold a figure;
- MathJax comes from the package sphinx-mathjax-offline, and only the parts that pages ask for are copied;
- `{found}` on the cover is what the chapters' reference runs found;
- the scripts of Thebe, which fetch a kernel from another host, are left out;
- what makes a page inaccessible is mended once it is written.
"""

import importlib.util
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.fileutil import copy_asset

from medutils.site.cover import found_html

MATHJAX_PARTS = ("tex-chtml.js", "output/chtml", "input/tex/extensions", "a11y")


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed; run `make book`, which installs requirements.txt")
    return Path(spec.origin).parent


def copy_scripts(app: Sphinx) -> None:
    """Put plotly and MathJax into the site before pages are written."""
    static = Path(app.outdir) / "_static"
    mathjax = _package("sphinx-mathjax-offline") / "static" / "mathjax"
    for part in MATHJAX_PARTS:
        target = static / "mathjax" / part
        copy_asset(str(mathjax / part), str(target if (mathjax / part).is_dir() else target.parent))
    copy_asset(str(_package("plotly") / "package_data" / "plotly.min.js"), str(static))


def scripts_of_page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Load plotly where there is a figure, and Thebe nowhere."""

    def fetches_a_kernel(script: Any) -> bool:
        body = str(getattr(script, "attributes", {}).get("body", ""))
        return "thebe" in f"{getattr(script, 'filename', script)} {body}".lower()

    if "Plotly.newPlot" in context.get("body", ""):
        app.add_js_file("plotly.min.js", priority=100)
    context["script_files"] = [script for script in context.get("script_files") or [] if not fetches_a_kernel(script)]


# What Sphinx, its bibliography and its theme write, and what a screen reader can make sense of.
MENDED = {
    'role="doc-biblioentry"': 'role="listitem"',  # a list's children are its items
    '<th class="head"><p></p></th>': "<td></td>",  # an empty cell heads nothing
    'title="Search" aria-label="Search"': 'title="Search" aria-label="Search Ctrl+K"',  # as the button reads
    **{f' title="{mode}"></i>': "></i>" for mode in ("Light", "Dark", "System Settings")},  # the button says it all
    '<summary aria-label="Toggle hidden content">': "<summary>",  # as it reads
    '<div class="sidebar-primary-item">': '<div class="sidebar-primary-item" role="navigation" aria-label="Home">',
}


def mend_pages(app: Sphinx, error: Exception | None) -> None:
    """Mend in the written pages what others' templates leave inaccessible."""
    for path in Path(app.outdir).rglob("*.html") if error is None else ():
        text = path.read_text(encoding="utf-8")
        for faulty, mended in MENDED.items():
            text = text.replace(faulty, mended, 1 if "sidebar" in faulty else -1)
        path.write_text(text, encoding="utf-8")


class Found(SphinxDirective):
    """One figure and a sentence a chapter, from the reference runs."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", found_html(), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("found", Found)
    app.connect("builder-inited", copy_scripts)
    app.connect("build-finished", mend_pages)
    app.connect("html-page-context", scripts_of_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

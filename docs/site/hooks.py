"""What MkDocs does besides: equations as MathML, so that a page needs nothing from the network.

Roles of Sphinx in docstrings (``:meth:`name```) become plain code.
"""

import re
from html import unescape

from latex2mathml.converter import convert

# pymdownx.arithmatex leaves \(...\) and \[...\] in elements of this class.
_EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_ROLE = re.compile(r":(?:meth|func|class|mod|attr):<code>[~.]?(.*?)</code>")


def on_page_content(html, **_):
    """Replace every equation and role of a page."""

    def mathml(found):
        display = "block" if found[1] == "div" else "inline"
        return convert(unescape(found[2]).strip(), display=display)

    return _ROLE.sub(r"<code>\1</code>", _EQUATION.sub(mathml, html))

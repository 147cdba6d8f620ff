"""What MkDocs does besides: equations as MathML, so that a page needs nothing from the network.

Roles of Sphinx in docstrings (``:meth:`name```) become plain code. An option or a name in the text
(``--max-rows``, ``mini-balrog``) is marked, so that no line ends behind its dashes. A picture is a
link to itself: in the page it can be too small to read.
"""

import re
from html import unescape

from latex2mathml.converter import convert

# pymdownx.arithmatex leaves \(...\) and \[...\] in elements of this class.
_EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_ROLE = re.compile(r":(?:meth|func|class|mod|attr):<code>[~.]?(.*?)</code>")
_CODE = re.compile(r"<pre\b.*?</pre>|<code>([^<]*-[^<]*)</code>", re.DOTALL)
_DASHED = re.compile(r"\S*-\S*")
_PICTURE = re.compile(r'<img [^>]*src="(figures/[^"]+)"[^>]*>')
# mkdocstrings puts a dash behind what has no description.
_NOT_DESCRIBED = re.compile(r'\s*–\s*<div class="doc-md-description">\s*</div>')


def on_page_content(html, **_):
    """Replace every equation and role of a page; mark its options, link its pictures."""

    def mathml(found):
        display = "block" if found[1] == "div" else "inline"
        return convert(unescape(found[2]).strip(), display=display)

    def marked(found):
        if found[1] is None:
            return found[0]
        return "<code>" + _DASHED.sub(r"<span class=word>\g<0></span>", found[1]) + "</code>"

    html = _ROLE.sub(r"<code>\1</code>", _EQUATION.sub(mathml, html))
    html = _PICTURE.sub(r'<a href="\1">\g<0></a>', html)
    return _CODE.sub(marked, _NOT_DESCRIBED.sub("", html))

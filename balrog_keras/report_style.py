"""The style sheet of report.html: light and dark, wide and narrow."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #f2f4f6;
  --line: #d5dae0; --good: #11763b; --bad: #b3261e; --focus: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --paper: #14171a; --soft: #1e2328; --line: #3a424b; --good: #5fce8b;
    --bad: #ff8a80; --focus: #56b4e9; }
  /* White plots become dark ones; turning the hue back keeps blue blue. */
  img { filter: invert(0.9) hue-rotate(180deg); } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0.5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
.label { background: var(--soft); border-left: 4px solid var(--line); padding: 0.4rem 0.8rem; }
.pass { color: var(--good); font-weight: 600; } .fail { color: var(--bad); font-weight: 600; }
.verdict { font-size: 1.3rem; }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; margin: 0.8rem 0; font-size: 0.9rem; }
a { color: inherit; } :focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
figure { margin: 1rem 0; } figcaption { font-size: 0.9rem; }
img { width: 100%; min-width: 40rem; height: auto; border-radius: 4px; }
img.small { width: 40rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.7rem 0.2rem 0; text-align: left; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
td.number, th.number { text-align: right; }
@media (max-width: 40rem) { td:first-child { white-space: normal; } }
details { margin: 0.5rem 0; } summary { cursor: pointer; }
"""

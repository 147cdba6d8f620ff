"""A page in headless Chromium: what a reader's browser makes of it."""

import json
import re
import shutil
import subprocess

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")

# What a script would see of the page; written into its title, which --dump-dom prints.
_PROBE = """
<script>
addEventListener("load", () => {
  const seen = {};
  seen.broken = [...document.images].filter(i => !i.complete || !i.naturalWidth).length;
  seen.images = document.images.length;
  seen.requests = performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:"))
    .map(e => e.name);
  seen.paper = getComputedStyle(document.body).backgroundColor;
  seen.overflow = document.documentElement.scrollWidth - innerWidth;
  document.body.style.width = "340px";
  seen.narrow = document.body.scrollWidth - document.body.clientWidth;
  const links = [...document.querySelectorAll("nav a")];
  seen.dead = links.filter(a => !document.getElementById(a.hash.slice(1))).length;
  const wide = document.querySelector(".wide");
  wide.focus();
  seen.keyboard = document.activeElement === wide;
  document.title = JSON.stringify(seen);
});
</script>
"""


def probe(page, tmp_path, dark=False):
    """What the browser makes of a page, and what it wrote to the console."""
    path = tmp_path / "page.html"
    path.write_text(page.replace("</main>", _PROBE + "</main>"), encoding="utf-8")
    options = ["--blink-settings=preferredColorScheme=0"] if dark else []
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900",
               "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", *options,
               "--dump-dom", path.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert title, done.stdout[:500]
    return json.loads(title[1].replace("&amp;", "&")), console

"""The page's style sheet."""

from __future__ import annotations

from whisperbench.report.charts.theme import style_sheet

_RULES = """
*{box-sizing:border-box}
body{margin:0;background:var(--wb-ground);color:var(--wb-ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
overflow-wrap:anywhere}
header,main,nav,footer{max-width:1080px;margin:0 auto;padding:0 16px}
header{padding-top:28px}
h1{font-size:1.6rem;line-height:1.25;margin:0}
h2{font-size:1.25rem;line-height:1.3;margin:0 0 10px}
h3{font-size:1rem;margin:0 0 8px}
p{margin:0 0 10px;max-width:76ch}
a{color:var(--wb-fp16)}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--wb-fp16);
outline-offset:2px}
.subtitle{color:var(--wb-soft);margin:4px 0 0}
.verdict{margin:20px 0 0;padding:12px 16px;border:1px solid var(--wb-line);border-left:6px solid;
border-radius:6px;background:var(--wb-raised);font-size:1.1rem;max-width:none}
.good{border-left-color:var(--wb-good)}
.bad{border-left-color:var(--wb-bad)}
.open{border-left-color:var(--wb-int8-t0)}
.good strong{color:var(--wb-good)}
.bad strong{color:var(--wb-bad)}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;margin:16px 0 0}
section{border-top:1px solid var(--wb-line);margin-top:26px;padding-top:20px}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));
gap:24px 32px;align-items:start}
.pictures.one{display:block}
.pictures.one svg{max-width:720px}
figure{margin:0 0 8px;min-width:0}
figcaption{font-weight:600;margin-bottom:8px}
svg{display:block;width:100%;height:auto}
.note{color:var(--wb-soft);font-size:.875rem;margin:8px 0}
.scroll{overflow-x:auto;margin:8px 0 14px}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:0 0 6px}
th,td{text-align:left;vertical-align:top;padding:5px 14px 5px 0;
border-bottom:1px solid var(--wb-line);overflow-wrap:normal}
thead th{color:var(--wb-soft);font-weight:600;vertical-align:bottom}
tbody th{font-weight:600}
td{white-space:nowrap}
.long{white-space:normal;min-width:24ch;overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--wb-soft);font-size:.875rem;padding:4px 0}
ul.lines{margin:0 0 12px;padding-left:20px}
footer{color:var(--wb-soft);font-size:.875rem;padding:24px 16px 32px}
@media (max-width:600px){.long{min-width:66vw}}
@media print{
.long{min-width:0}
body{font-size:11pt}
nav{display:none}
.scroll{overflow:visible}
figure,tr{break-inside:avoid}
h2,h3,figcaption{break-after:avoid}
table{font-size:8pt}
th,td{padding-right:8px}
}
"""


def style() -> str:
    """Return all of it: the colours in light and dark, and what is laid out how."""
    return f"\n{style_sheet()}{_RULES}"

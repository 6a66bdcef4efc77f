"""One run as one HTML file that needs no network: figures, tables and every candidate, made from what was gathered.

`page` joins the sections, one module each; all are pure functions from `facts.Facts` to markup. `html` is the only
place where text becomes markup, so nothing that a candidate, a model or a log says can become any.
"""

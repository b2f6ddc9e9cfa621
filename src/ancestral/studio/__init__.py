"""The studio: every model alive on one page.

    ancestral studio [FILES OR FOLDER]

A loopback server (`server`, guarded by `security`) gives one hand-written page of ES modules
(`page/`) the numbers of fitted models (`shelf`, `rooms`) as JSON with packed arrays (`payload`).
The page computes in the browser. The same modules, written into one HTML file (`bundle`), are the
offline page and what a notebook shows of a fitted model (`notebook`).
"""

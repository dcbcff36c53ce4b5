"""tress beside the standard library and its peers: `python -m bench` measures, the rest shows.

`cases/` says what is measured, `sides.py` on what, `measure.py` runs one case in a process of its
own, `run.py` runs them all and writes JSON, `report.py`, `table.py` and `plot.py` show it, and
`count.py` counts instructions. `loops.py` has the event loops, `serve.py` their servers, and
`load.py` puts these under the load of `crates/tress-load`. docs/speed.md explains how to read the
figures.
"""

"""`python -m tress`: the runner, see `tress._runner`."""

from tress._runner import main

main()

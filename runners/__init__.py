"""What runs the pipeline and what stands around it; `python -m runners.NAME` each."""

import sys

from pipeline.process.interrupts import end_in_one_line

if sys.argv[0] == "-m":  # Python is about to load one of them as its program
    end_in_one_line(sys.orig_argv[sys.orig_argv.index("-m") + 1])

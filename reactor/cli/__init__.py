"""The command line: ``reactor serve``, ``call``, ``keygen``, ``info`` and ``demo``, one file each.

A command is a function from parsed arguments to an exit status.  It works with what the floors below offer and
adds only what concerns a terminal: arguments, words, and what becomes of errors.

    0    done; ``call`` and ``demo``: every reply came, ``serve``: stopped in an orderly way
    1    it could not be done; one line on stderr says why
    2    the command line was wrong
    130  interrupted (Ctrl-C)
    141  whoever read the output has gone (``reactor info | head -1``)

Results go to stdout, everything else to stderr.  Read next: ``main``.
"""

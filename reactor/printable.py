"""Text from outside, made fit for a line of a log or of a terminal.

A peer chooses the path that it binds its Unix socket to, the name of the file that it sends, the words of its
message.  Whoever writes them as they are lets the peer write: a newline begins a line of its own in the log, which
looks like one of ours; an escape sequence moves the cursor, sets the title, or clears the screen of whoever reads
the log; a right-to-left override turns a name around; a lone surrogate, which is how Python holds a byte that is no
UTF-8, makes the write itself fail.

So what is not printable is escaped, as ``repr`` would do it: control characters, line and paragraph separators,
bidirectional and other invisible marks, surrogates.  Everything else stays, letters of all scripts among it.
Backslashes are not doubled: to escape twice is to escape once, so a line may be made of parts that were escaped
already.  Read next: ``reactor.telling.reports``, which writes such lines.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Return *text* with an escape, such as ``\\n`` or ``\\x1b``, for each character that is not printable.

    The space is the only white space that stays.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")

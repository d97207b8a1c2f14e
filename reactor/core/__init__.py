"""The loop: callbacks, timers, pollers, wake-ups, signals.  It knows nothing of streams, frames or protocols.

Read in this order, each file standing on the ones before it: ``ops`` (the one seam to the operating system),
``probe`` and ``counters`` (what can be watched), ``reports`` (where faults are told), ``handles`` and ``timers``
(pure data), ``polling`` (one file per kernel mechanism), ``registry`` (who waits for which descriptor), ``wakeup``,
``engine`` (the heart, which drives them all, one turn after the other), and at last ``loop``, its face.
``signals`` and ``forking`` are second reading.
"""

"""The comparison: other loops, the limit, and what each costs, measured in turn by one program.

Read in this order: ``peers/`` (the servers, one small file each) · ``servers`` (the table of them) · ``workloads``
(the table of what they are asked) · ``machine``, ``settings`` and ``process`` (placement, what was asked, and what
the kernel knows of a process) · ``sample`` · ``traffic``, ``visits``, ``inside`` (three ways to take one) ·
``figures`` (what many samples say) · ``course`` · ``table``, ``plots``, ``record`` · ``compare`` (the command).

``docs/benchmarks.md`` says what the figures mean and what they do not.  ``micro/`` measures parts by themselves,
``memory.py`` what an idle connection costs, ``pooled.py`` what a silent client costs a server whose handlers block.
"""

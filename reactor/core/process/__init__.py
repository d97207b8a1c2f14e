"""What a loop has to do with the process that it lives in.  Second reading: no turn of the loop needs it.

``signals`` makes ordinary callbacks of them; ``forking`` sees to it that a child lets go of what is its parent's.
"""

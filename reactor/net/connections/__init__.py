"""How connections come about: ``acceptor`` and ``listener`` take them in, ``attempt`` and ``connector`` make them, and
``factories`` sees to it that what makes protocols can.
"""

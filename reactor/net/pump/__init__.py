"""The compiled half of receiving and sending: one more poller, and the memory that it shares with C.

Read in this order: ``memory``, ``pump``, ``choice`` (when a reactor has one); and ``_accel/pump.h``, the contract
of the C code.
"""

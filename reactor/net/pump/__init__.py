"""The compiled half of receiving and sending: one more poller, the memory that it shares with its C, and when to take it.

Read in this order: ``memory``, ``pump``, ``choice``; and ``_accel/pump.h``, the contract of the C code.
"""

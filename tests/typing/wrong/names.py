"""A name that is not there is not there, although some are loaded later."""

import reactor
from reactor import Protocoll  # wrong: attr-defined, reportAttributeAccessIssue
from reactor.framing import LengthPrefix  # wrong: attr-defined, reportAttributeAccessIssue

reactor.Reacter()  # wrong: attr-defined, reportAttributeAccessIssue
reactor.Netstring()  # wrong: attr-defined, reportAttributeAccessIssue
reactor.parse_address(80)  # wrong: arg-type, reportArgumentType

__all__ = ["LengthPrefix", "Protocoll"]

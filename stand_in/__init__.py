"""A stand-in for outside platforms, for tests and the demo: it speaks their APIs and decides how commands end."""

from stand_in.commands import Command, Commands, Plan
from stand_in.faults import Fault
from stand_in.requests_log import Request
from stand_in.server import StandIn, serving

__all__ = ["Command", "Commands", "Fault", "Plan", "Request", "StandIn", "serving"]

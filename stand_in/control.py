"""The stand-in's control interface over HTTP, for whoever runs it as a process.

    GET    /_control/commands            all commands, with their states and how often each was to be cancelled
    GET    /_control/requests            all requests to the platforms' APIs, with times
    POST   /_control/default  PLAN       how commands run from now on
    POST   /_control/plans    PLAN       how those run that its `match` is found in
    POST   /_control/faults   FAULT      what goes wrong from now on
    POST   /_control/commands/ID {"status": …}    what becomes of a command
    POST   /_control/settings {"latency": …, "limit": …}
    DELETE /_control                     forget everything

PLAN and FAULT are objects with the fields of `stand_in.Plan` and `stand_in.Fault`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stand_in.answers import Answer, Asked, as_json
from stand_in.commands import Plan
from stand_in.faults import Fault

if TYPE_CHECKING:
    from stand_in.server import StandIn

PATH = "/_control"


def answer(server: StandIn, asked: Asked) -> Answer:
    """Carry a control request out; 400 says what is wrong with it."""
    try:
        return _carry_out(server, asked)
    except (TypeError, ValueError, KeyError) as error:
        return as_json({"error": repr(error)}, 400)


def _carry_out(server: StandIn, asked: Asked) -> Answer:
    body = asked.body if isinstance(asked.body, dict) else {}
    match asked.method, asked.path.removeprefix(PATH).strip("/").split("/"):
        case "GET", ["commands"]:
            return as_json([command.describe() for command in server.commands])
        case "GET", ["requests"]:
            return as_json([request.describe() for request in server.requests.all()])
        case "POST", ["default"]:
            server.commands.default = Plan(**body)
        case "POST", ["plans"]:
            server.commands.plans.append(Plan(**body))
        case "POST", ["faults"]:
            server.faults.add(Fault(**body))
        case "POST", ["commands", command_id]:
            server.commands.tell(int(command_id), body["status"])
        case "POST", ["settings"]:
            server.latency = float(body.get("latency", server.latency))
            server.limit = body.get("limit", server.limit)
        case "DELETE", [""]:
            server.clear()
        case _:
            return as_json({"error": "no such control"}, 404)
    return as_json({})

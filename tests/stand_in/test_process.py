"""The stand-in as a process of its own, told over HTTP what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests
from harness.platforms import stand_in_process


def test_control(tmp_path: Path) -> None:
    """Its URL is its first line; plans, faults and ends are set, and commands and requests read, by HTTP."""
    with stand_in_process(tmp_path, "--token", "one=first", "--seconds", "0") as url:
        control = f"{url}/_control"

        def api(method: str, path: str, body: Any = None, token: str = "first") -> requests.Response:
            headers = {"X-AUTH-TOKEN": token}
            return requests.request(method, f"{url}/api/v1.2/{path}", json=body, headers=headers, timeout=5)

        assert requests.post(f"{control}/plans", json={"match": "long", "seconds": None}, timeout=5).ok
        assert requests.post(f"{control}/faults", json={"status": 503, "times": 1}, timeout=5).ok
        given = {"command_type": "HiveCommand", "query": "long"}
        assert api("POST", "commands", given).status_code == 503
        assert api("POST", "commands", given, "wrong").status_code == 401
        made = api("POST", "commands", given).json()
        assert made["status"] == "running"
        page = requests.get(f"{url}/v2/analyze?command_id={made['id']}", timeout=5)
        assert f"Command {made['id']}" in page.text
        assert requests.post(f"{control}/commands/{made['id']}", json={"status": "error"}, timeout=5).ok
        assert api("PUT", f"commands/{made['id']}", {"status": "kill"}).json()["kill_succeeded"] == "false"
        [command] = requests.get(f"{control}/commands", timeout=5).json()
        assert (command["id"], command["status"], command["cancels"]) == (made["id"], "error", 1)
        seen = requests.get(f"{control}/requests", timeout=5).json()
        assert [(each["method"], each["status"]) for each in seen] == [
            ("POST", 503), ("POST", 401), ("POST", 200), ("PUT", 200),
        ]  # fmt: skip
        assert requests.post(f"{control}/default", json={"ends": "never"}, timeout=5).status_code == 400
        assert requests.delete(control, timeout=5).ok
        assert requests.get(f"{control}/commands", timeout=5).json() == []

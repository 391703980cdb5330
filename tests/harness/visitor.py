"""Somebody who looks at pages below a prefix, without a browser's scripts."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urljoin

import requests


class Visitor(requests.Session):
    """Follows links and sends forms, and looks at each page for addresses outside the prefix."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.prefix = re.sub(r"^http://[^/]*", "", url)

    def page(self, path: str) -> str:
        answer = self.get(urljoin(f"{self.url}/", path), timeout=60)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-2000:])
        assert answer.url.startswith(f"{self.url}/")
        self.look_at(answer)
        return answer.text

    def submit(self, page: str, path: str, **fields: str) -> requests.Response:
        """A form of a page, with its token."""
        token = re.search(r'name="_?csrf_token"[^>]*value="([^"]+)"', self.page(page))
        assert token, page
        answer = self.post(
            urljoin(f"{self.url}/", path), data={"csrf_token": token[1], **fields}, timeout=60,
            headers={"Referer": urljoin(f"{self.url}/", page)},
        )  # fmt: skip
        self.look_at(answer)
        return answer

    def look_at(self, answer: requests.Response) -> None:
        for step in answer.history:
            assert step.headers["Location"].startswith(f"{self.prefix}/"), step.headers["Location"]
        links = [unescape(link) for link in re.findall(r'\b(?:href|src|action)="([^"]+)"', answer.text)]
        outside = [link for link in links if link.startswith("/") and not link.startswith(f"{self.prefix}/")]
        assert outside == [], answer.url
        assert "evil" not in answer.text

    def login(self) -> requests.Response:
        """Ask for a page, be sent to the login, and from there back."""
        path = "admin/airflow/login?next=" + f"{self.prefix}/admin/pool/".replace("/", "%2F")
        return self.submit(path, path, username="ann", password="a-secret")

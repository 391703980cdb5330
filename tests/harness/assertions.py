"""A gateway's keys, and assertions signed with them: good ones, and whatever a test wants to be wrong."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://gateway.example"
CLUSTER = "eu-1"
HEADER = "X-Airflow-Assertion"
_LIBRARY = jwt.PyJWS()


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def new_key(algorithm: str) -> Any:
    """A private key for a signature algorithm."""
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Gateway:
    """Signs assertions, and publishes the keys to verify them with; by default one of each kind."""

    algorithms: tuple[str, ...] = ("ES256", "RS256", "EdDSA")
    keys: dict[str, Any] = field(default_factory=dict)
    """Private keys by algorithm; the key's id is the algorithm in lower case and a number."""
    generation: int = 1

    def __post_init__(self) -> None:
        for algorithm in self.algorithms:
            self.keys.setdefault(algorithm, new_key(algorithm))

    def rotate(self, algorithm: str = "ES256") -> None:
        """A new key under a new id; the old one is not published any more."""
        self.keys[algorithm] = new_key(algorithm)
        self.generation += 1

    def kid(self, algorithm: str) -> str:
        return f"{algorithm.lower()}-{self.generation}"

    def key_set(self) -> dict[str, Any]:
        """The JSON Web Key Set of the public keys."""
        return {"keys": [self.public(algorithm) for algorithm in self.keys]}

    def public(self, algorithm: str) -> dict[str, Any]:
        made = _LIBRARY.get_algorithm_by_name(algorithm).to_jwk(self.keys[algorithm].public_key(), as_dict=True)
        return {**made, "kid": self.kid(algorithm), "alg": algorithm, "use": "sig"}

    def pem(self, algorithm: str = "ES256") -> bytes:
        public = self.keys[algorithm].public_key()
        pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def publish(self, path: Path) -> Path:
        """Write the key set as a server of keys would: in one step."""
        new = path.with_name(f".{path.name}.new")
        new.write_text(json.dumps(self.key_set()))
        return new.replace(path)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What an assertion says; a change to `...` leaves that claim out."""
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": CLUSTER, "sub": "ann@example.com", "role": "user",
            "iat": now, "nbf": now, "exp": now + 300, **changes,
        }  # fmt: skip
        return {name: value for name, value in claims.items() if value is not ...}

    def sign(self, algorithm: str = "ES256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """A good assertion, but for the changes to its claims and its header."""
        header = {"typ": "JWT", "alg": algorithm, "kid": self.kid(algorithm), **(headers or {})}
        header = {name: value for name, value in header.items() if value is not ...}
        return self.raw(json.dumps(header).encode(), json.dumps(self.claims(**changes)).encode(), algorithm)

    def raw(self, header: bytes, payload: bytes, algorithm: str = "ES256", key: Any = None) -> str:
        """Any two texts, signed well."""
        signed = f"{base64url(header)}.{base64url(payload)}"
        maker = _LIBRARY.get_algorithm_by_name(algorithm)
        signature = maker.sign(signed.encode(), key if key is not None else self.keys[algorithm])
        return f"{signed}.{base64url(signature)}"


def service_settings(keys: Path | str, **more: str) -> dict[str, str]:
    """The environment of a webserver behind a gateway; keys of `[service]` can be given."""
    settings = {"gateway_keys": str(keys), "gateway_issuer": ISSUER, "cluster_id": CLUSTER, **more}
    return {
        "AIRFLOW__WEBSERVER__AUTHENTICATE": "True",
        "AIRFLOW__WEBSERVER__AUTH_BACKEND": "airflow_service.gateway",
        "AIRFLOW__API__AUTH_BACKEND": "airflow_service.gateway",
        **{f"AIRFLOW__SERVICE__{key.upper()}": value for key, value in settings.items()},
    }

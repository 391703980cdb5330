"""Tests of airflow_service.gateway.assertion and .identify: made-up assertions, clocks, and what is remembered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from airflow_service.gateway.assertion import MAX_LENGTH, Refused, Verified
from airflow_service.gateway.identify import Identifier, VerifiedAssertions
from airflow_service.gateway.identity import Identity
from airflow_service.gateway.keys import Keys, Pace
from airflow_service.gateway.options import KeySource
from airflow_service.gateway.roles import Role, RoleMap
from airflow_service.gateway.settings import GatewaySettings
from harness.assertions import CLUSTER, HEADER, ISSUER, Gateway, base64url
from hypothesis import given, settings
from hypothesis import strategies as st

GATEWAY = Gateway()
ALGORITHMS = frozenset({"ES256", "RS256", "EdDSA"})


@pytest.fixture(scope="module")
def identifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identifier]:
    source = KeySource.parse(str(GATEWAY.publish(tmp_path_factory.mktemp("keys") / "keys.json")))
    asked = GatewaySettings(HEADER, source, ALGORITHMS, ISSUER, CLUSTER, None, "sub", "role", RoleMap({}), 86400)
    keys = Keys(source)
    yield Identifier(asked, keys)
    keys.end()


def refused(identifier: Identifier, assertion: str | None) -> Refused:
    with pytest.raises(Refused) as caught:
        identifier.identify(assertion)
    return caught.value


def told(identifier: Identifier, assertion: str) -> Identity | None:
    """Who it is for; None if it was refused in one line. What is taken PyJWT would take, too."""
    try:
        identity = identifier.identify(assertion)
    except Refused as error:
        if not str(error).isprintable():
            raise
        return None
    algorithm = jwt.get_unverified_header(assertion)["alg"]
    public = GATEWAY.keys[algorithm].public_key()
    options: jwt.types.Options = {"verify_sub": False, "verify_jti": False}
    jwt.decode(assertion, public, [algorithm], options, issuer=ISSUER, audience=CLUSTER, leeway=30)
    return identity


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("role", list(Role))
def test_good_ones_are_taken(identifier: Identifier, algorithm: str, role: Role) -> None:
    """Name and address are told if they can be shown, and are not what anybody is refused for."""
    plain = identifier.identify(GATEWAY.sign(algorithm, role=role))
    assert plain == Identity("ann@example.com", role, "ann@example.com", None)
    more = {"name": "Änn O'Hara", "email": "ann@x", "aud": ["a", CLUSTER]}
    known = identifier.identify(GATEWAY.sign(algorithm, role=role, **more))
    assert known == Identity("ann@example.com", role, "Änn O'Hara", "ann@x")
    odd = identifier.identify(GATEWAY.sign(algorithm, role=role, name="<b>", email=["a"], jti=1, more={"a": [None]}))
    assert odd == plain


@pytest.mark.parametrize("subject", ["a", "a" * 250, "O'Brien", "CN=a,O=x", "auth0|1", "DOMAIN\\ann", "Ann Lee", "安"])
def test_subjects_of_all_sorts(identifier: Identifier, subject: str) -> None:
    """What directories have for names."""
    assert identifier.identify(GATEWAY.sign(sub=subject)).subject == subject


_TEXT = st.text(max_size=20)
_TEMPLATE = GATEWAY.sign(role="viewer", exp=int(time.time()) + 3600)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(_TEMPLATE) - 1), st.integers(0, 8), st.text(max_size=8))
def test_no_change_to_a_good_one_is_let_in(identifier: Identifier, at: int, cut: int, put: str) -> None:
    """Any stretch of it replaced by any text; a signature may end with its padding."""
    changed = _TEMPLATE[:at] + put + _TEMPLATE[at + cut :]
    if changed.rstrip("=") == _TEMPLATE:
        assert identifier.identify(_TEMPLATE).role is Role.VIEWER
        return
    assert str(refused(identifier, changed)).isprintable()


def test_only_one_spelling_is_taken(identifier: Identifier) -> None:
    """Each part in base64url, with all of its padding (AWS sends it) or none, and no bit that means nothing."""
    head, body, signature = GATEWAY.sign(role="viewer", pad="x" * 2).split(".")
    assert len(signature) % 4 == 2
    last = signature[:-1] + chr(ord(signature[-1]) + 1)
    for spelled in (f"{signature}=", f"{signature}===", last, f"={signature}", f"{signature}\n", f"{signature}.", ""):
        assert refused(identifier, f"{head}.{body}.{spelled}").check == "form"
    assert refused(identifier, f"{head}.{body}").check == "form"
    assert refused(identifier, f"{head}..{signature}").check == "form"
    plain = GATEWAY.sign(name="\u00ff\u00fe~~~???>>>", more="\u07ff" * 30).replace("-", "+").replace("_", "/")
    assert refused(identifier, plain).check == "form"
    assert identifier.identify(f"{head}.{body}.{signature}==").role is Role.VIEWER
    padded = GATEWAY.raw(json.dumps({"alg": "ES256", "typ": "JWT"}).encode(), b"{}").split(".")[0]
    assert told(identifier, f"{padded}==.{body}.{signature}") is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_=-]{0,40}(\.[A-Za-z0-9_=-]{0,40}){0,4}", fullmatch=True))
def test_no_text_is_let_in(identifier: Identifier, text: str) -> None:
    """Of any characters, and of the right ones."""
    refused(identifier, text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_FIXED = {"iss": ISSUER, "aud": CLUSTER, "sub": "ann", "role": "user"}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "role"]), _JSON)
def test_claims_of_any_shape(identifier: Identifier, claim: str, value: Any) -> None:
    """Signed well, with one claim anything at all: let in only where that is what it should be."""
    assertion = GATEWAY.sign("EdDSA", **{claim: value})
    identity = told(identifier, assertion)
    if identity is None:
        return
    if claim in ("exp", "nbf", "iat"):
        assert type(value) in (int, float)
        assert value > time.time() - 31 if claim == "exp" else value < time.time() + 31
    elif claim == "sub":
        assert identity.subject == value
        assert value.isprintable()
    else:
        assert value in ({"iss": [ISSUER], "aud": [CLUSTER, [CLUSTER]], "role": list(Role)}[claim])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "jku", "b64", "x"]) | _TEXT, _JSON, max_size=4))
def test_headers_of_any_shape(identifier: Identifier, header: dict[str, Any]) -> None:
    """Signed well, under any header: the kid may be left away where one key only would do, and nothing else."""
    text = json.dumps(header)
    if told(identifier, GATEWAY.raw(text.encode(), json.dumps(GATEWAY.claims()).encode())) is not None:
        assert header["alg"] == "ES256"


@pytest.mark.parametrize(
    ("off", "check"), [(-86400, "exp"), (-3600, "exp"), (-331, "exp"), (60, "iat|nbf"), (86400, "iat|nbf|exp")]
)
def test_clocks_that_differ(identifier: Identifier, off: int, check: str) -> None:
    """A gateway whose clock is off by a minute and more is told so; one by half a minute is not noticed."""
    now = int(time.time()) + off
    assert refused(identifier, GATEWAY.sign(iat=now, nbf=now, exp=now + 300)).check in check.split("|")
    for fine in (-20, 20):
        now = int(time.time()) + fine
        assert identifier.identify(GATEWAY.sign(iat=now, nbf=now, exp=now + 15)).role is Role.USER


def test_a_secret_is_one_of_a_file(tmp_path: Path) -> None:
    """HS256 holds where it is allowed, with the secret itself: a public key's bytes are none."""
    secret = b"s" * 32
    entries = [{"kty": "oct", "k": base64url(secret), "kid": "s"}, GATEWAY.public("ES256")]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": entries}))
    (tmp_path / "keys.json").chmod(0o600)
    source = KeySource.parse(str(tmp_path / "keys.json"))
    allowed = ALGORITHMS | {"HS256"}
    asked = GatewaySettings(HEADER, source, allowed, ISSUER, CLUSTER, None, "sub", "role", RoleMap({}), 600)
    keys = Keys(source)
    identifier = Identifier(asked, keys)
    payload = json.dumps(GATEWAY.claims()).encode()

    def signed(kid: str, key: bytes) -> str:
        return GATEWAY.raw(json.dumps({"alg": "HS256", "kid": kid}).encode(), payload, "HS256", key)

    assert identifier.identify(signed("s", secret)).role is Role.USER
    assert refused(identifier, signed("s", b"t" * 32)).check == "signature"
    public = json.dumps(GATEWAY.public("ES256")).encode()
    assert refused(identifier, signed(GATEWAY.kid("ES256"), public)).check == "alg"
    assert refused(identifier, GATEWAY.sign(headers={"kid": "s"})).check == "alg"
    keys.end()


def test_a_kid_may_be_left_away_for_one_key_only(tmp_path: Path) -> None:
    """With two keys of an algorithm nothing says which; the log names what is missing."""
    gateway, other = Gateway(("ES256",)), Gateway(("ES256",))
    entries = [gateway.public("ES256"), {**other.public("ES256"), "kid": "other"}]
    for listed, check in ((entries[:1], None), (entries, "kid")):
        file = tmp_path / f"{len(listed)}.json"
        file.write_text(json.dumps({"keys": listed}))
        source = KeySource.parse(str(file))
        asked = GatewaySettings(HEADER, source, ALGORITHMS, ISSUER, CLUSTER, None, "sub", "role", RoleMap({}), 600)
        identifier = Identifier(asked, Keys(source))
        without = gateway.sign(headers={"kid": ...})
        if check is None:
            assert identifier.identify(without).role is Role.USER
        else:
            assert refused(identifier, without).check == check
        identifier.keys.end()


def test_what_is_remembered_ends_with_exp_and_with_its_key(tmp_path: Path) -> None:
    """A second look costs no verification; one at `exp` or after a rotation does."""
    gateway = Gateway(("ES256",))
    file = gateway.publish(tmp_path / "keys.json")
    source = KeySource.parse(str(file))
    asked = GatewaySettings(HEADER, source, ALGORITHMS, ISSUER, CLUSTER, None, "sub", "role", RoleMap({}), 600)
    keys = Keys(source, Pace(file=0.05))
    identifier = Identifier(asked, keys)
    short = gateway.sign(exp=int(time.time()) - 29)
    long = gateway.sign()
    for assertion in (short, long):
        assert identifier.identify(assertion) == identifier.identify(assertion)
    assert identifier._verified.get(short, keys.generation) is None
    assert identifier._verified.get(long, keys.generation) is not None
    time.sleep(1.1)
    assert refused(identifier, short).check == "exp"
    gateway.rotate()
    gateway.publish(file)
    end = time.monotonic() + 5
    while keys.find("es256-2", "ES256") is None and time.monotonic() < end:
        time.sleep(0.02)
    assert refused(identifier, long).check == "kid"
    keys.end()


def test_memory_is_bounded() -> None:
    """The one that was remembered first goes first; twice the same is one."""
    memory = VerifiedAssertions(size=3)
    ann = Verified(Identity("ann", Role.USER, "ann", None), time.time() + 60)
    for name in "abbcd":
        memory.put(name, 1, ann)
    assert [memory.get(name, 1) is not None for name in "abcd"] == [False, True, True, True]
    assert len(memory) == 3
    assert memory.get("b", 2) is None
    memory.put("old", 1, ann._replace(expires=time.time() - 1))
    assert memory.get("old", 1) is None


def test_an_authorization_header_is_of_the_scheme_bearer(identifier: Identifier) -> None:
    """Its name in any case; nothing else of HTTP's schemes."""
    bearer = Identifier(replace(identifier.settings, header="Authorization"), identifier.keys)
    token = GATEWAY.sign()
    for good in (f"Bearer {token}", f"bearer {token}"):
        assert bearer.identify(good).subject == "ann@example.com"
    others = (f"Basic {token}", f"Token {token}", f"Bearer  {token}", f"Bearer {token}, Basic a")
    for bad in (token, "Bearer", "Bearer ", *others):
        assert refused(bearer, bad).check in ("header", "form")


def test_length_is_looked_at_first(identifier: Identifier) -> None:
    """Before anything that takes longer for more."""
    began = time.perf_counter()
    refused(identifier, "a" * 50_000_000)
    assert time.perf_counter() - began < 0.5
    assert len(GATEWAY.sign(more="x" * 9000)) < MAX_LENGTH
    assert identifier.identify(GATEWAY.sign(more="x" * 9000)).role is Role.USER

"""Ray's Jobs API as we call it: which cluster, with which token, for how long at most, and its errors as ours."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from cluster.errors import BadEnvironment, BadInput
from cluster.ray_connect import first_line

KNOCK_S = 5.0
ANSWER_S = 60.0  # a large package on a slow line; without a limit a frozen head holds the caller for ever
ELSEWHERE = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # Ray lets these win over an address that was given
UNAUTHORIZED, FORBIDDEN = 401, 403
CHATTY = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging")
_elsewhere_lock = threading.Lock()


class Client(JobSubmissionClient):
    """Ray's own client, which waits for ever, with a time limit on every request."""

    def _do_request(self, method: str, endpoint: str, **more: Any) -> Any:
        return super()._do_request(method, endpoint, **{"timeout": ANSWER_S, **more})


@contextmanager
def jobs_api(address: str) -> Iterator[Client]:
    """The client of a cluster's Jobs API; what goes wrong with it inside the `with` becomes one line.

    Raises BadInput for an address of another kind; BadEnvironment where nothing answers, or not with this token.
    """
    url = jobs_url(address)
    headers = _let_in(url, os.environ, Path.home())
    try:
        yield _client(url, headers)
    except AuthenticationError as error:
        raise _refused(url, has_token=bool(headers)) from error
    except (OSError, aiohttp.ClientError) as error:  # OSError: of requests, and Ray's own ConnectionError
        raise _silent(url, error) from None
    except RuntimeError as error:
        raise _unable(url, first_line(error)) from None


def jobs_url(address: str) -> str:
    """`http://HOST:PORT` of what a user gave. Raises BadInput."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        scheme, rest = "http", scheme
    rest = rest.rstrip("/")
    if scheme not in ("http", "https") or rest in ("", "auto"):
        remedy = "give the dashboard's, http://HEAD:8265; a cluster that is joined takes `w2s run --ray-address`"
        raise BadInput("--address", f"'{address}' is no address of Ray's Jobs API", remedy)
    return f"{scheme}://{rest}"


def token(environ: Mapping[str, str], home: Path) -> str | None:
    """The token where Ray looks for one: RAY_AUTH_TOKEN, the file of RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token."""
    if environ.get("RAY_AUTH_TOKEN"):
        return environ["RAY_AUTH_TOKEN"].strip()
    chosen = environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(chosen) if chosen else home / ".ray" / "auth_token"
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _let_in(url: str, environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """Knock, and find out what the cluster wants to see. It is shown a token only if it asks, or if the user says so."""
    mode = environ.get("RAY_AUTH_MODE", "").lower()
    ours = token(environ, home)
    if mode == "token" and ours is None:
        what = "RAY_AUTH_MODE is token and there is none"
        raise BadEnvironment(f"Ray Jobs at {url}", what, "set RAY_AUTH_TOKEN_PATH to the file with the cluster's")
    shown = {"Authorization": f"Bearer {ours}"} if ours and mode != "disabled" else {}
    status = _knock(url, shown if mode == "token" else {})
    if status == UNAUTHORIZED and shown and mode != "token":
        status = _knock(url, shown)
    elif mode != "token":
        shown = {}
    if status in (UNAUTHORIZED, FORBIDDEN):
        raise _refused(url, has_token=bool(shown))
    return shown


def _knock(url: str, headers: Mapping[str, str]) -> int:
    """The status of its first answer."""
    try:
        answer = requests.get(f"{url}/api/version", headers=headers, timeout=KNOCK_S)
        if answer.ok and "ray_version" not in answer.json():
            raise requests.exceptions.InvalidJSONError
    except requests.RequestException as error:
        raise _silent(url, error) from None
    return answer.status_code


def _client(url: str, headers: dict[str, str]) -> Client:
    for name in CHATTY:  # they set their level when they are loaded
        logging.getLogger(name).setLevel(logging.WARNING)
    with _elsewhere_lock:
        kept = {name: os.environ.pop(name) for name in ELSEWHERE if name in os.environ}
        try:
            return Client(url, headers=headers)
        finally:
            os.environ.update(kept)


def _refused(url: str, *, has_token: bool) -> BadEnvironment:
    what = "refuses our token" if has_token else "wants a token, and none was found"
    remedy = "set RAY_AUTH_TOKEN_PATH to the file with the token it was started with (and RAY_AUTH_MODE=token)"
    return BadEnvironment(f"Ray Jobs at {url}", what, remedy)


def _unable(url: str, words: str) -> BadEnvironment:
    remedy = "see dashboard_JobHead.log in the head's session folder"
    if "No available agent" in words:  # 52365 is the agent's, unless it was started with another
        remedy = (
            "its agent has no port: two Rays on one machine? `ray start --dashboard-agent-listen-port` gives another"
        )
    return BadEnvironment(f"Ray Jobs at {url}", f"refused: {words}", remedy)


def _silent(url: str, error: Exception) -> BadEnvironment:
    if isinstance(error, requests.Timeout):
        what = "does not answer in time"
    elif isinstance(error, requests.exceptions.InvalidJSONError):
        what = "something else answers there"
    else:
        what = "does not answer"
    remedy = "is the cluster up, and its dashboard to be reached from here? (ssh -L 8265:localhost:8265 HEAD)"
    return BadEnvironment(f"Ray Jobs at {url}", what, remedy)

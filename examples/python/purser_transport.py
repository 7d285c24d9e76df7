"""Budgets for Python programs whose calls go to their provider directly.

A transport for httpx, which the SDKs of OpenAI and Anthropic send with. It asks Purser before a call is sent, sends it with the
output cap that fits, and says afterwards what came back. A refusal is an answer as the provider would send it, so the SDK raises its
own error and does not try again. It needs nothing but httpx, which the SDKs bring along.

    from openai import OpenAI
    from purser_transport import purser_client

    client = OpenAI(http_client=purser_client("http://127.0.0.1:4100", key, provider="openai", subject={"user": "ann"}))
"""

import json

try:
    import httpx2 as httpx  # newer SDKs take this one only
except ImportError:
    import httpx

# What surely never reached the provider.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NOBODY_KNOWS = {"status": 504}


def purser_client(url, key, *, provider, subject=None, lease_seconds=3600, **options):
    """An httpx.Client whose calls to models have a budget. `key` is an admin's; `subject` says whom calls are charged to."""
    return httpx.Client(transport=PurserTransport(url, key, provider, subject, lease_seconds), **_patient(options))


def async_purser_client(url, key, *, provider, subject=None, lease_seconds=3600, **options):
    """The same for the asynchronous clients of the SDKs."""
    return httpx.AsyncClient(transport=AsyncPurserTransport(url, key, provider, subject, lease_seconds), **_patient(options))


class PurserTransport(httpx.BaseTransport):
    def __init__(self, url, key, provider, subject=None, lease_seconds=3600, transport=None):
        self._terms = _Terms(provider, subject, lease_seconds)
        self._purser = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=_PATIENCE)
        self._provider = transport or httpx.HTTPTransport()

    def handle_request(self, request):
        if request.method != "POST":
            return self._provider.handle_request(request)
        decided = self._purser.post("/api/decisions", json=self._terms.question(request, request.read()))
        decision = decided.json()
        if decided.status_code >= 300:
            return _refusal(decided, decision)
        settle = f"/api/decisions/{decision['id']}/settle" if "id" in decision else None
        try:
            response = self._provider.handle_request(_changed(request, decision["body"]))
        except BaseException as error:
            self._end(settle, {"status": 400} if isinstance(error, _NOT_SENT) else _NOBODY_KNOWS)
            raise
        stream = _Heard(response.stream, lambda heard: self._end(settle, _told(response, heard)))
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, extensions=response.extensions)

    def _end(self, settle, told):
        if settle:
            self._purser.post(settle, json=told).raise_for_status()

    def close(self):
        self._provider.close()
        self._purser.close()


class AsyncPurserTransport(httpx.AsyncBaseTransport):
    def __init__(self, url, key, provider, subject=None, lease_seconds=3600, transport=None):
        self._terms = _Terms(provider, subject, lease_seconds)
        self._purser = httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=_PATIENCE)
        self._provider = transport or httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request):
        if request.method != "POST":
            return await self._provider.handle_async_request(request)
        decided = await self._purser.post("/api/decisions", json=self._terms.question(request, await request.aread()))
        decision = decided.json()
        if decided.status_code >= 300:
            return _refusal(decided, decision)
        settle = f"/api/decisions/{decision['id']}/settle" if "id" in decision else None
        try:
            response = await self._provider.handle_async_request(_changed(request, decision["body"]))
        except BaseException as error:
            await self._end(settle, {"status": 400} if isinstance(error, _NOT_SENT) else _NOBODY_KNOWS)
            raise
        stream = _AsyncHeard(response.stream, lambda heard: self._end(settle, _told(response, heard)))
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, extensions=response.extensions)

    async def _end(self, settle, told):
        if settle:
            (await self._purser.post(settle, json=told)).raise_for_status()

    async def aclose(self):
        await self._provider.aclose()
        await self._purser.aclose()


# Purser answers at once, but for limits that let calls wait.
_PATIENCE = httpx.Timeout(30.0, connect=2.0)


def _patient(options):
    # Models take their time; the SDKs say for each call how long they wait.
    return {"timeout": httpx.Timeout(600.0, connect=5.0), "follow_redirects": True, **options}


class _Terms:
    def __init__(self, provider, subject, lease_seconds):
        self._provider, self._subject, self._lease_seconds = provider, subject, lease_seconds

    def question(self, request, body):
        subject = self._subject() if callable(self._subject) else self._subject
        return {
            "subject": {**(subject or {}), "provider": self._provider},
            "path": request.url.path,
            "body": body.decode(),
            "lease_seconds": self._lease_seconds,
        }


def _changed(request, body):
    headers = httpx.Headers(request.headers)
    del headers["content-length"]
    headers["accept-encoding"] = "identity"  # what came back is read as it is
    return httpx.Request(request.method, request.url, headers=headers, content=body.encode(), extensions=request.extensions)


def _refusal(decided, problem):
    error = problem.get("body") or {"error": {"message": problem.get("detail"), "code": problem.get("code"), "type": problem.get("code")}}
    kept = [(name, value) for name, value in decided.headers.items() if name.startswith(("x-", "retry-after", "ratelimit"))]
    headers = [*kept, ("content-type", "application/json")]
    return httpx.Response(decided.status_code, headers=headers, content=json.dumps(error).encode())


def _told(response, heard):
    kind = response.headers.get("content-type")
    return {"status": response.status_code, "answer": heard.decode(errors="replace"), **({"content_type": kind} if kind else {})}


class _Heard(httpx.SyncByteStream):
    """An answer that is heard while it is read, and told when it ends or is left."""

    def __init__(self, stream, tell):
        self._stream, self._tell, self._heard = stream, tell, bytearray()

    def __iter__(self):
        for chunk in self._stream:
            self._heard += chunk
            yield chunk

    def close(self):
        self._stream.close()
        tell, self._tell = self._tell, None
        if tell:
            tell(bytes(self._heard))


class _AsyncHeard(httpx.AsyncByteStream):
    def __init__(self, stream, tell):
        self._stream, self._tell, self._heard = stream, tell, bytearray()

    async def __aiter__(self):
        async for chunk in self._stream:
            self._heard += chunk
            yield chunk

    async def aclose(self):
        await self._stream.aclose()
        tell, self._tell = self._tell, None
        if tell:
            await tell(bytes(self._heard))

"""Signature Version 4 as Amazon's documents describe it ("Authenticating Requests: Using the
Authorization Header"), to check what a client signed; s3rver itself looks at the key's name only.
Run by itself it checks itself by the example of those documents, a GET of an object."""

import calendar
import hashlib
import hmac
import re
import time
from urllib.parse import quote, unquote

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/ ,]+)/(\d{8})/([^/ ,]+)/([^/ ,]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


class Refused(Exception):
    """status and code, as S3 would answer."""


def encode(text, safe):
    return quote(unquote(text), safe=safe + "-._~")


def canonical_query(query):
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(sorted(encode(name, "") + "=" + encode(value, "") for name, _, value in pairs))


def sign(secret, method, target, headers, signed, scope, timestamp):
    """headers: a dict with names in lower case; scope: date, region and service."""
    path, _, query = target.partition("?")
    request = "\n".join(
        [
            method,
            encode(path, "/"),
            canonical_query(query),
            *(name + ":" + re.sub(" +", " ", headers[name].strip()) for name in signed),
            "",
            ";".join(signed),
            headers["x-amz-content-sha256"],
        ]
    )
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            timestamp,
            "/".join(scope) + "/aws4_request",
            hashlib.sha256(request.encode()).hexdigest(),
        ]
    )
    key = ("AWS4" + secret).encode()
    for part in [*scope, "aws4_request", text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def check(access_key, secret, region, method, target, headers):
    """Raises Refused where the request is not signed as S3 demands."""
    match = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not match:
        raise Refused(400, "AuthorizationHeaderMalformed")
    key, date, signed_region, service, names, signature = match.groups()
    signed = names.split(";")
    timestamp = headers.get("x-amz-date", "")
    if key != access_key:
        raise Refused(403, "InvalidAccessKeyId")
    if (signed_region, service) != (region, "s3") or signed != sorted(signed):
        raise Refused(400, "AuthorizationHeaderMalformed")
    needed = {name for name in headers if name.startswith("x-amz-") or name in ("host", "content-type")}
    if not needed <= set(signed) or not set(signed) <= set(headers):
        raise Refused(403, "AccessDenied")
    try:
        at = calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused(403, "AccessDenied") from None
    if abs(at - time.time()) > 900 or not timestamp.startswith(date):
        raise Refused(403, "RequestTimeTooSkewed")
    if "x-amz-content-sha256" not in headers:
        raise Refused(400, "MissingSecurityHeader")
    wanted = sign(secret, method, target, headers, signed, (date, region, service), timestamp)
    if not hmac.compare_digest(signature, wanted):
        raise Refused(403, "SignatureDoesNotMatch")


if __name__ == "__main__":
    EXAMPLE = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-amz-date": "20130524T000000Z",
    }
    assert (
        sign(
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "GET",
            "/test.txt",
            EXAMPLE,
            sorted(EXAMPLE),
            ("20130524", "us-east-1", "s3"),
            "20130524T000000Z",
        )
        == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )

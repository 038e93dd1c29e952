"""A real SMTP server (aiosmtpd) that keeps what it takes: N.eml and N.json (the envelope) in a folder.

The recipient's local part asks for an answer: later@ 451, never@ 550, protocol@ "550 5.5.0", late-never@ 554 after the
data, stall@ no answer to the data.
"""

import argparse
import asyncio
import base64
import itertools
import json
import pathlib
import ssl
import urllib.parse
import urllib.request

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--dir", type=pathlib.Path, required=True)
parser.add_argument("--security", choices=["none", "starttls", "tls"], default="none")
parser.add_argument("--certificate")
parser.add_argument("--key")
parser.add_argument("--login", help="user:password; without it no AUTH")
parser.add_argument("--introspect", help="where access tokens are asked about (RFC 7662); without it none is taken")
parser.add_argument("--mechanisms", default="XOAUTH2,OAUTHBEARER", help="by which they are shown")
parser.add_argument("--refuse-null", choices=["mail", "rcpt", "data"])
parser.add_argument("--refuse-all", help="the answer to every MAIL")
options = parser.parse_args()
numbers = itertools.count(1)
connections = itertools.count(1)

NULL = "<>"
ANSWERS = {
    "later": "451 4.3.0 come back later",
    "never": "550 5.1.1 no such user",
    "protocol": "550 5.5.0 try again",
}


class Keeper:
    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        if options.refuse_all:
            return options.refuse_all
        if address == NULL and options.refuse_null == "mail":
            return "550 5.7.1 no null sender here"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if envelope.mail_from == NULL and options.refuse_null == "rcpt":
            return "550 5.7.1 <>: Sender address rejected"
        answer = ANSWERS.get(address.split("@")[0])
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        wanted = envelope.rcpt_tos[0].split("@")[0]
        if wanted == "stall":
            await asyncio.sleep(3600)
        if wanted == "late-never":
            return "554 5.7.1 content refused"
        if envelope.mail_from == NULL and options.refuse_null == "data":
            return "554 5.2.252 SendAsDenied; <> not allowed"
        number = next(numbers)
        (options.dir / f"{number}.json").write_text(
            json.dumps(
                {
                    "from": envelope.mail_from.replace(NULL, ""),
                    "to": envelope.rcpt_tos,
                    "tls": server.transport.get_extra_info("sslcontext") is not None,
                    "authenticated": bool(session.authenticated),
                    "connection": server.number,
                }
            )
        )
        (options.dir / f"{number}.part").write_bytes(envelope.original_content)
        (options.dir / f"{number}.part").rename(options.dir / f"{number}.eml")
        return "250 2.0.0 kept"


def introspected(token):
    form = urllib.parse.urlencode({"token": token}).encode()
    with urllib.request.urlopen(options.introspect, form) as answer:
        told = json.load(answer)
    return told["email"] if told["active"] else None


async def bearer(server, args, user, token):
    """Says why it refuses before it does, as Microsoft and Google do."""
    if introspected(token) == user:
        return AuthResult(success=True)
    await server.challenge_auth('{"status":"400","schemes":"Bearer"}')
    return AuthResult(success=False, handled=False)


async def auth_xoauth2(server, args):
    fields = dict(part.split("=", 1) for part in base64.b64decode(args[1]).decode().split("\x01") if part)
    return await bearer(server, args, fields["user"], fields["auth"].removeprefix("Bearer "))


async def auth_oauthbearer(server, args):
    header, *parts = base64.b64decode(args[1]).decode().split("\x01")
    fields = dict(part.split("=", 1) for part in parts if part)
    user = header.split(",")[1].removeprefix("a=")
    assert fields["host"] and int(fields["port"])
    return await bearer(server, args, user, fields["auth"].removeprefix("Bearer "))


if options.introspect:
    for name, method in [("XOAUTH2", auth_xoauth2), ("OAUTHBEARER", auth_oauthbearer)]:
        if name in options.mechanisms.split(","):
            setattr(Keeper, "auth_" + name, staticmethod(method))


def authenticator(server, session, envelope, mechanism, data):
    user, password = options.login.encode().split(b":", 1)
    good = data.login == user and data.password == password
    return AuthResult(success=good, handled=good)


def server():
    context = None
    if options.security != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
    smtp = SMTP(
        Keeper(),
        hostname="localhost",
        tls_context=context if options.security == "starttls" else None,
        require_starttls=options.security == "starttls",
        authenticator=authenticator if options.login else None,
        auth_required=bool(options.login or options.introspect),
        auth_require_tls=options.security == "starttls",
    )
    smtp.number = next(connections)
    return smtp


async def main():
    context = None
    if options.security == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server, "127.0.0.1", options.port, ssl=context)
    await listening.serve_forever()


asyncio.run(main())

"""A card provider on the loopback interface that keeps its own book of what it took, and can be told to misbehave."""

import json
import socket
import struct
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch


class CardDesk:
    """What it took stands in `taken`: `{reference: amount}`; how often, in `captures`.

    `mood` says what it does with the next requests:
    take      takes the money and says so
    decline   says why not
    reset     takes it, and hangs up before answering
    trouble   takes it, and answers 500
    dead      hangs up before it did anything
    busy      answers 500 before it did anything
    pending   says that it will tell later
    silent    answers nothing that says what became of it
    short     takes half of it
    slow      takes it, and answers when `answer` is set
    """

    def __init__(self):
        self.answer = threading.Event()
        self.mood = "take"
        self.reason = "Insufficient funds"
        self.remembers = True
        self.taken = {}
        self.captures = Counter()
        self._answers = {}
        self._lock = threading.Lock()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                # Who asked may be gone by now.
                with suppress(BrokenPipeError, ConnectionResetError):
                    desk._serve(self, asked)

            def log_message(self, *args):
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler, asked):
        reference, mood = asked["reference"], self.mood
        with self._lock:
            known = self.remembers and self._answers.get(reference)
            if not known and mood in ("take", "reset", "trouble", "short", "slow"):
                amount = asked["amount"] / (2 if mood == "short" else 1)
                self.captures[reference] += 1
                self.taken[reference] = amount
                known = {"state": "done", "amount": amount}
            elif not known and mood in ("decline", "pending"):
                known = {"state": "error" if mood == "decline" else "pending", "reason": self.reason}
            if known:
                self._answers[reference] = known
        if mood == "slow":
            self.answer.wait(20)
        if mood in ("reset", "dead"):
            # Closing with this option resets the connection, as a provider's crash does.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
        elif mood in ("trouble", "busy"):
            self._reply(handler, 500, {"error": "Internal error"})
        elif mood == "silent":
            self._reply(handler, 200, {"state": "unheard of"})
        elif known["state"] == "error":
            self._reply(handler, 402, {"error": self.reason})
        else:
            self._reply(handler, 200, known)

    @staticmethod
    def _reply(handler, status, content):
        body = json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def serving(self, provider):
        """Within this, the provider's requests go to the desk."""
        return served_by(self.url, provider)


@contextmanager
def served_by(url, provider):
    """The requests of this provider go to the desk at `url`, through Odoo's own way of making them."""
    registry = provider.env.registry
    Transaction, Provider = registry["payment.transaction"], registry["payment.provider"]
    send, build = Transaction._send_payment_request, Provider._build_request_url
    amounts, apply_updates = Transaction._extract_amount_data, Transaction._apply_updates
    served = provider.id

    def send_payment_request(tx):
        if tx.provider_id.id != served:
            return send(tx)
        answer = tx._send_api_request("POST", "/charge", json={"reference": tx.reference, "amount": tx.amount})
        return tx._process(tx.provider_code, {"reference": tx.reference, **answer})

    def build_request_url(one, endpoint, **kwargs):
        return url + endpoint if one.id == served else build(one, endpoint, **kwargs)

    def extract_amount_data(tx, data):
        if tx.provider_id.id != served or "amount" not in data:
            return amounts(tx, data)
        return {"amount": data["amount"], "currency_code": tx.currency_id.name}

    def applied(tx, data):
        if tx.provider_id.id != served:
            return apply_updates(tx, data)
        if data.get("state") == "done":
            tx._set_done()
        elif data.get("state") == "pending":
            tx._set_pending()
        elif data.get("state") == "error":
            tx._set_error(data["reason"])
        return None

    with ExitStack() as stack:
        for model, name, function in (
            (Transaction, "_send_payment_request", send_payment_request),
            (Transaction, "_extract_amount_data", extract_amount_data),
            (Transaction, "_apply_updates", applied),
            (Provider, "_build_request_url", build_request_url),
        ):
            stack.enter_context(patch.object(model, name, function))
        yield

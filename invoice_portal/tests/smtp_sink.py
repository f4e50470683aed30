"""A mail server on the loopback interface that keeps what it is given, and can be told to refuse, defer or hang up."""

import email
import email.policy
import socketserver
import threading


class SmtpSink:
    """What it took stands in `messages`, each with its envelope."""

    def __init__(self):
        self.messages = []
        self.refuse = {}
        self.data_reply = None
        self.hang_up_after_data = False
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                sink._talk(self.rfile, self.wfile)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _talk(self, lines, out):
        def say(text):
            out.write(text.encode() + b"\r\n")

        sender, recipients = None, []
        say("220 sink")
        for raw in lines:
            line = raw.decode().rstrip("\r\n")
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            address = rest.partition("<")[2].partition(">")[0].lower()
            if verb in ("EHLO", "HELO"):
                say("250 sink")
            elif verb == "MAIL":
                sender, recipients = address, []
                say("250 ok")
            elif verb == "RCPT":
                if address in self.refuse:
                    say(self.refuse[address])
                else:
                    recipients.append(address)
                    say("250 ok")
            elif verb == "DATA":
                say("354 go on")
                content = b""
                for part in lines:
                    if part == b".\r\n":
                        break
                    content += part[1:] if part.startswith(b"..") else part
                if self.hang_up_after_data:
                    self._keep(sender, recipients, content)
                    return
                if self.data_reply:
                    say(self.data_reply)
                else:
                    self._keep(sender, recipients, content)
                    say("250 taken")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")

    def _keep(self, sender, recipients, content):
        message = email.message_from_bytes(content, policy=email.policy.default)
        self.messages.append({"from": sender, "to": recipients, "raw": content, "message": message})

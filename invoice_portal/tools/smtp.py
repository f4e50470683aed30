"""What a mail server said to each recipient, which Odoo's mail queue does not keep."""

import smtplib


class ListeningSession:
    """An SMTP session that says when it begins with a message, and remembers the answers, by Message-Id.

    A server may take a message for some recipients and refuse it for others; `smtplib` reports that without an error.

    :param begin: called with the Message-Id before the server hears of it; false where it is not to be sent after all
    """

    def __init__(self, session, answers, begin):
        self._session = session
        self._answers = answers
        self._begin = begin

    def __getattr__(self, name):
        return getattr(self._session, name)

    def send_message(self, message, from_addr, to_addrs, *args, **kwargs):
        answer = self._answers.setdefault(message["Message-Id"], Answer())
        if not self._begin(message["Message-Id"]):
            answer.withdrawn = True
            raise Withdrawn
        hand_over = self._session.data

        def data(content):
            answer.handed_over = True
            return hand_over(content)

        # Whether the server had the message already decides, when the connection breaks, whether it may have arrived.
        self._session.data = data
        try:
            answer.refused = self._session.send_message(message, from_addr, to_addrs, *args, **kwargs) or {}
        except smtplib.SMTPRecipientsRefused as error:
            answer.refused, answer.handed_over = error.recipients, False
            raise
        except smtplib.SMTPResponseException as error:
            answer.error, answer.handed_over = (error.smtp_code, error.smtp_error), False
            raise
        finally:
            self._session.data = hand_over
        return answer.refused


class Withdrawn(Exception):
    """The message is not to be sent after all: another process has taken it over."""


class Answer:
    """What was said of one message: to whom it was refused, or to all of them, and whether it had been handed over."""

    def __init__(self):
        self.refused = {}
        self.error = None
        self.withdrawn = False
        self.handed_over = False

    def refusal(self, email):
        """`(code, text)` if the server refused this recipient, or nothing."""
        code_and_text = self.refused.get(email) or self.error
        if not code_and_text:
            return None
        code, text = code_and_text
        return code, text.decode(errors="replace") if isinstance(text, bytes) else str(text)


def is_temporary(code):
    """Whether the server asks to try again later."""
    return 400 <= code < 500

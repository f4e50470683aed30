from odoo import models
from odoo.exceptions import UserError
from odoo.tools import float_round

from ..tools.grant import granted
from ..tools.periods import ONE_DAY
from .billing_subscription_phase import FROM_PACKAGE


class BillingSubscription(models.Model):
    """What is agreed changes from a day on. Each change is a phase, and a line in the history."""

    _inherit = "billing.subscription"

    # -- days ---------------------------------------------------------------------------------------------------------

    def _period_on(self, day):
        """The period that holds this day: the first one before the start, the last one after the end, if any."""
        self.ensure_one()
        return next(reversed([*self._periods(max(day, self.date_start))]), None)

    def _next_period_start(self, day):
        """The day on which the period after this day's begins."""
        if day < self.date_start:
            return self.date_start
        period = self._period_on(day)
        return period.last + ONE_DAY if period else day

    def _period_end(self, day):
        """The last day of the period that holds this one."""
        period = self._period_on(day)
        return period.last if period else day

    def _check_changeable_on(self, day):
        if reason := self._why_not_changeable_on(day):
            raise UserError(reason)

    def _why_not_changeable_on(self, day):
        self.ensure_one()
        if not day:
            return self.env._("From which day on?")
        if day < self.date_start:
            return self.env._(
                "“%(subscription)s” starts on %(start)s: it cannot change before.",
                subscription=self.display_name,
                start=self._day_label(self.date_start),
            )
        if self.date_end and day > self.date_end:
            return self.env._(
                "“%(subscription)s” ends on %(end)s: nothing changes after that.",
                subscription=self.display_name,
                end=self._day_label(self.date_end),
            )
        return None

    # -- changes ------------------------------------------------------------------------------------------------------

    def _change_terms(self, day, values):
        """From this day on other terms are in force. What was planned for later follows, up to its own next change.

        :return: the phase that begins on that day
        """
        self._check_changeable_on(day)
        in_force = self._phase_on(day)
        before = {fname: in_force[fname] for fname in values}
        later = self.phase_ids.filtered(lambda phase: phase.date_from > day).sorted("date_from")
        if in_force.date_from == day:
            granted(in_force).write(values)
            phase = in_force
        else:
            phase = granted(in_force).copy({"subscription_id": self.id, "date_from": day, **values})
            phase = phase.with_env(self.env)
        for fname, old in before.items():
            for planned in later:
                if planned[fname] != old:
                    break
                granted(planned).write({fname: phase[fname]})
        return phase

    def _change(self, day, package, quantity, price, discount):
        """Other package, quantity or price from this day on."""
        old = self._phase_on(day)
        was = self._phase_label(old)
        values = {"package_id": package.id, "quantity": quantity, "price_unit": price, "discount": discount}
        if package != old.package_id:
            values.update({fname: package[fname] for fname in FROM_PACKAGE})
            if not old._has_interval_of(package):
                values["anchor_date"] = self._anchor_on(day, package.interval_unit, package.interval_count)
        phase = self._change_terms(day, values)
        self._note(
            self.env._(
                "From %(day)s: %(terms)s. Before: %(before)s.",
                day=self._day_label(day),
                terms=self._phase_label(phase),
                before=was,
            )
        )
        return phase

    def _pause(self, day):
        """Nothing is charged from this day on, until resumed."""
        self._check_changeable_on(day)
        if self._phase_on(day).paused:
            raise UserError(self.env._("“%s” is paused on that day already.", self.display_name))
        self._change_terms(day, {"paused": True})
        self._note(self.env._("Paused from %s", self._day_label(day)))

    def _resume(self, day):
        self._check_changeable_on(day)
        if not self._phase_on(day).paused:
            raise UserError(self.env._("“%s” is not paused on that day.", self.display_name))
        self._change_terms(day, {"paused": False})
        self._note(self.env._("Resumed from %s", self._day_label(day)))

    def _cancel(self, last):
        """It ends with this day. A day before the start means that it never begins."""
        self.ensure_one()
        if self.state == "ended":
            if self.date_end < self.date_start:
                raise UserError(self.env._("“%s” was cancelled before it started.", self.display_name))
            raise UserError(
                self.env._(
                    "“%(subscription)s” ended on %(end)s already.",
                    subscription=self.display_name,
                    end=self._day_label(self.date_end),
                )
            )
        last = max(last, self.date_start - ONE_DAY)
        self.date_end = last
        if last < self.date_start:
            self._note(self.env._("Cancelled before it started"))
        else:
            self._note(self.env._("Cancelled: %s is the last day", self._day_label(last)))

    def _raise_price(self, percent, day):
        """The price, and those planned for later, by so many percent from this day on.

        :return: the phase that begins on that day
        """
        self._check_changeable_on(day)
        (_day, old, new), *planned = self._raised_prices(percent, day)
        phases = {phase.date_from: phase for phase in self.phase_ids}
        phase = self._change_terms(day, {"price_unit": new})
        for later, _old, raised in planned:
            granted(phases[later]).write({"price_unit": raised})
        self._note(
            self.env._(
                "Price %(change)s %% from %(day)s: %(new)s instead of %(old)s",
                change=f"{percent:+g}",
                day=self._day_label(day),
                new=self.currency_id.format(phase.price_unit),
                old=self.currency_id.format(old),
            )
        )
        return phase

    def _raised_prices(self, percent, day):
        """What is to change from this day on, and of what is planned for later: `[(day, price by now, by then)]`."""
        later = self.phase_ids.filtered(lambda phase: phase.date_from > day).sorted("date_from")
        prices = [(day, self._phase_on(day).price_unit), *((phase.date_from, phase.price_unit) for phase in later)]
        return [(first, price, self._raised(price, percent)) for first, price in prices]

    def _raised(self, price, percent):
        digits = self.env["decimal.precision"].precision_get("Product Price")
        return float_round(price * (1 + percent / 100), precision_digits=digits)

    def _notify_price_change(self, template, day, old, new):
        """Mail the client what will change; it leaves after the commit, by Odoo's queue."""
        self.ensure_one()
        addresses = self._notice_addresses()
        if not addresses:
            self._note(self.env._("The client was not told: no e-mail address is known."))
            return
        told = template.with_context(price_day=day, price_old=old, price_new=new)
        told.send_mail(self.id, email_values={"email_to": addresses, "recipient_ids": [], "email_cc": False})
        self._note(self.env._("The client is told by e-mail: %s", addresses))

    def _notice_addresses(self):
        """Where invoices go."""
        if self.project_id.billing_email_to or self.partner_id.billing_email_to:
            return self.project_id.billing_email_to or self.partner_id.billing_email_to
        contact = self.partner_id.browse(self.partner_id.address_get(["invoice"])["invoice"])
        return contact.email_formatted

    # -- words --------------------------------------------------------------------------------------------------------

    def _phase_label(self, phase):
        label = self.env._(
            "%(quantity)s × %(package)s at %(price)s, %(interval)s",
            quantity=self._quantity_label(phase.quantity),
            package=phase.package_id.name,
            price=self.currency_id.format(phase.price_unit),
            interval=phase.interval.lower(),
        )
        return f"{label}, −{phase.discount:g} %" if phase.discount else label

    def _note(self, text):
        self.ensure_one()
        self.message_post(body=text, subtype_xmlid="mail.mt_note")

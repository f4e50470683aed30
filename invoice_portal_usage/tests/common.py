from datetime import datetime

from odoo.addons.invoice_portal.tests.common import BillingCommon


class UsageCommon(BillingCommon):
    """A switch that delivers calls of Acme, and a plan that prices them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.usage_product = (
            cls.env["product.product"].sudo().create({"name": "Calls", "type": "service"}).with_env(cls.env)
        )
        cls.plan = cls._new_plan("Voice")
        cls.landline = cls._new_destination("Germany")
        cls.mobile = cls._new_destination("Germany mobile")
        cls.world = cls._new_destination("Elsewhere")
        cls._new_rate("49", cls.landline, 0.06, minimum=60, step=60)
        cls._new_rate("4915", cls.mobile, 0.12, minimum=1, step=1)
        cls._new_rate("*", cls.world, 0.9, minimum=30, step=6, connection_fee=0.05)
        cls.plan._touch()
        cls.source = cls.env["billing.usage.source"].create(
            {
                "name": "Switch",
                "code": "switch",
                "kind": "phone",
                "unit": "second",
                "tz": "UTC",
                "country_id": cls.env.ref("base.de").id,
                "rate_plan_id": cls.plan.id,
            }
        )
        cls.account = cls.env["billing.usage.account"].create(
            {"source_id": cls.source.id, "key": "+49 30 1000", "partner_id": cls.client.id}
        )

    @classmethod
    def _new_plan(cls, name, **values):
        return cls.env["billing.rate.plan"].create(
            {"name": name, "product_id": cls.usage_product.id, "unit": "minute", "tz": "UTC", **values}
        )

    @classmethod
    def _new_destination(cls, name, **values):
        return cls.env["billing.rate.destination"].create({"plan_id": cls.plan.id, "name": name, **values})

    @classmethod
    def _new_rate(cls, prefix, destination, price, **values):
        return cls.env["billing.rate"].create(
            {
                "plan_id": destination.plan_id.id,
                "prefix": prefix,
                "destination_id": destination.id,
                "price_unit": price,
                **values,
            }
        )

    @classmethod
    def _hand_in(cls, *records, source=None):
        """Records as the API takes them; what is not named is a call of a minute from Acme's number."""
        rows = []
        for number, record in enumerate(records):
            rows.append(
                {
                    "id": f"call-{number}",
                    "account": "+49301000",
                    "moment": "2026-03-10T12:00:00Z",
                    "destination": "+4989123456",
                    "quantity": 60,
                    **record,
                }
            )
        return cls.env["billing.usage"].ingest((source or cls.source).code, rows)

    @classmethod
    def _usage(cls, *external_ids):
        return cls.env["billing.usage"].search([("external_id", "in", external_ids)]).sorted("external_id")

    @staticmethod
    def _moment(text):
        return datetime.fromisoformat(text)

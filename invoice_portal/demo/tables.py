"""What happened in a year at the agency, as tables. `billing_demo.py` plays it.

`where` is a project of billing_demo.xml or, where a charge has no project, a client.
Months count back from this one, which is month 0: every first of a month the agency bills what is open by then.
"""

# Begun on the first of a month, and billed from then on.
# where, package, reference, quantity, price, discount, first month, last month or nothing
SUBSCRIPTIONS = (
    ("bramble_site", "care", "bramblefinch.example", 1, 240, 0, 12, None),
    ("bramble_phones", "line", None, 4, 14.5, 0, 12, None),
    ("hafenlicht", "hosting", "portal.hafenlicht.example", 1, 310, 0, 10, None),
    ("hafenlicht", "line", None, 14, 13, 10, 9, None),
    ("aurora", "hosting", "padariaaurora.example", 1, 48, 0, 8, None),
    ("kitano", "care", "parts.kitanoseiki.example", 1, 280, 0, 6, None),
    ("alnoor", "care", None, 1, 120, 0, 7, None),
    ("meghdoot_courses", "hosting", None, 1, 64, 15, 4, None),
    ("meghdoot_helpline", "line", None, 10, 9.5, 0, 4, None),
    ("kereru", "care", None, 1, 120, 0, 4, None),
    ("thornbury", "line", None, 9, 14.5, 0, 5, None),
    ("thornbury", "retainer", None, 2, 70, 0, 5, None),
    ("cedar", "hosting", "cedarridge.example", 1, 260, 0, 5, None),
    ("marisol", "gallery", None, 3, 32, 0, 12, None),
    ("quay", "hosting", "oldquaybooks.example", 1, 48, 0, 11, 9),
)
# More of it, or none for a while, from the first of that month: where, package, month, quantity or nothing
CHANGES = (
    ("bramble_phones", "line", 6, 6),
    ("thornbury", "retainer", 2, None),
)
# As they stand today, not billed yet: where, package, quantity, price, days until it starts, days until it ends
SUBSCRIPTIONS_NOW = (
    ("kereru", "domain", 1, 22, 9, None),
    ("cedar", "filter", 12, 3, -5, None),
    ("aurora", "filter", 4, 3, -3, 90),
)

# Phone calls of the month before, billed by the minute: where, price, about how many
CALLS = (
    ("bramble_phones", 0.12, 240),
    ("hafenlicht", 0.09, 1900),
    ("meghdoot_helpline", 0.06, 3100),
)

# Typed once: where, product, description, month, day, quantity, price, discount
TYPED = (
    ("bramble_site", "domain", "Domain bramblefinch.example, one year", 10, 11, 1, 22, 0),
    ("hafenlicht", "support", "Workshop: editing texts without help", 8, 16, 4, 90, 0),
    ("aurora", "web", "Credit: shop offline on a Saturday", 4, 24, 1, -35, 0),
    ("kitano", "web", "Move of the hosting to Osaka", 5, 13, 6, 95, 0),
    ("kereru", "design", "Banners for the winter sale", 3, 9, 5, 85, 10),
    ("thornbury", "porting", "Four numbers taken over from the old provider", 6, 20, 4, 25, 0),
    ("meghdoot_helpline", "porting", "Helpline numbers taken over", 5, 5, 10, 12, 0),
    ("cedar", "support", "Password reset for the branch managers", 3, 17, 1.5, 70, 0),
    ("marisol", "domain", "Domain marisolreyes.example, one year", 7, 14, 1, 22, 0),
    ("quay", "support", "Last stocktake: export of all orders", 10, 22, 2, 70, 0),
)

# Finished cases with a price, billed on the first of the month after: project, title, price, month, day
CASES = (
    ("bramble_site", "Project pages: larger photographs", 980, 12, 18),
    ("bramble_site", "Contact form: keep spam out", 240, 9, 6),
    ("bramble_site", "Press page with downloads", 590, 6, 22),
    ("bramble_site", "Accessibility audit and fixes", 1420, 3, 12),
    ("bramble_site", "Team page: three new portraits", 95, 1, 16),
    ("bramble_phones", "Ring group for the studio", 85, 8, 11),
    ("bramble_phones", "Two numbers move to the new office", 110, 2, 9),
    ("hafenlicht", "Shipments on a map", 2450, 11, 20),
    ("hafenlicht", "Sign-in with company accounts", 1680, 7, 14),
    ("hafenlicht", "Export of consignments to CSV", 860, 5, 9),
    ("hafenlicht", "Voice menu in German and Polish", 360, 3, 17),
    ("hafenlicht", "Faster search in the archive", 1240, 1, 20),
    ("aurora", "Orders with a pick-up time", 1150, 9, 19),
    ("aurora", "Payment by Pix", 910, 8, 21),
    ("aurora", "Opening hours on Sundays", 60, 5, 13),
    ("aurora", "Sign-up for the newsletter", 150, 2, 18),
    ("kitano", "Import of 12,000 parts", 1900, 7, 25),
    ("kitano", "Full-text search in Japanese", 1360, 6, 10),
    ("kitano", "Drawing of each part as PDF", 1130, 3, 19),
    ("alnoor", "Opening hours on Fridays", 240, 8, 12),
    ("alnoor", "Booking form in Arabic", 780, 5, 21),
    ("meghdoot_courses", "Certificates for finished courses", 560, 5, 8),
    ("meghdoot_courses", "Video lessons on slow connections", 690, 3, 23),
    ("meghdoot_helpline", "Call recording, with consent", 330, 4, 15),
    ("meghdoot_helpline", "Music while waiting", 45, 1, 11),
    ("kereru", "Gift cards", 540, 5, 7),
    ("kereru", "GST on orders from overseas", 280, 2, 21),
    ("thornbury", "Out-of-hours voicemail by e-mail", 130, 5, 13),
    ("thornbury", "Second site in Clifton: four lines", 210, 3, 8),
    ("cedar", "Branch finder", 1350, 6, 19),
    ("cedar", "Security headers", 240, 4, 10),
    ("cedar", "Rate table from a spreadsheet", 370, 2, 14),
)

# A client pays so many days after the invoice, a few more or less.
PAYS_AFTER = {
    "bramble": 12,
    "hafenlicht": 24,
    "aurora": 36,
    "kitano": 19,
    "alnoor": 33,
    "meghdoot": 26,
    "kereru": 8,
    "thornbury": 57,
    "cedar": 40,
    "marisol": 3,
    "quay": 30,
}
# Who is not reminded for so many days, and why.
PAUSED = ("aurora", 12, "Pays after the festival, agreed by phone")
# Instalments: this share is paid at once, the rest after the days above.
PAYS_AT_ONCE = {"thornbury": 0.3}
# Paid in part, and no more since.
PAID_IN_PART = {("cedar", 3): 0.5, ("alnoor", 5): 0.3}
NOT_PAID = {
    ("aurora", 5), ("aurora", 1), ("alnoor", 4), ("alnoor", 3), ("cedar", 4), ("cedar", 2), ("cedar", 1),
    ("bramble", 2), ("hafenlicht", 2), ("hafenlicht", 1), ("meghdoot", 2), ("kereru", 1), ("quay", 9),
}  # fmt: skip

# Nothing is billed to this client from that month on.
ON_HOLD = ("alnoor", 2, "Two invoices unpaid since they changed owners")
ARCHIVED = "quay"

# Invoices beside the monthly ones: where, product, description, days ago, quantity, price, then …
# a share that was paid at once, or "sent", or "finalized" and not sent yet.
EXTRA = (
    ("aurora", "design", "Posters for the shop window", 47, 6, 85, "sent"),
    ("cedar", "web", "Contact form down: repaired overnight", 32, 3, 110, "sent"),
    ("thornbury", "support", "Handsets for the second site, set up", 20, 7, 70, 0.3),
    ("marisol", "design", "Portfolio book, ready for print", 12, 5, 85, "sent"),
    ("bramble_site", "web", "Relaunch of the portfolio, first half", 9, 14, 95, 0.4),
    ("hafenlicht", "web", "Shipment portal, release 3", 6, 16, 88, 0.5),
    ("kitano", "web", "Prices by customer group", 5, 8, 95, "sent"),
    ("meghdoot_courses", "web", "Exams: questions from a pool", 1, 12, 60, "finalized"),
    ("kereru", "support", "Help with the first sale online", 2, 3, 70, "finalized"),
)

# Money without an invoice: client, month, day, amount, memo
PREPAID = (
    ("marisol", 7, 2, 450, "Prepaid for half a year"),
    ("marisol", 2, 20, 1200, "Prepaid for the exhibition"),
)
# A card that was refused, for the invoice of that month: client, month, what the provider said
REFUSED = ("bramble", 2, "Insufficient funds")
# Who agreed to have its card charged by itself, and how
AUTOMATIC = ("bramble", "Agreed by the owner on the phone")

# Client, month of the invoice, reason, what becomes of its charges
VOIDED = (
    ("hafenlicht", 2, "Cost centre was missing", "bill again"),
    ("bramble", 5, "Billed to the former office", "bill again"),
    ("cedar", 4, "Goodwill after the outage", "discard"),
    ("kereru", 1, "Wants one invoice for the whole season", "reopen"),
)

# Cases as they stand today: project, title, price, state, finished so many days ago
CASES_NOW = (
    ("bramble_site", "Journal: filter by topic", 310, "01_in_progress", None),
    ("bramble_site", "Replace the map provider", 0, "01_in_progress", None),
    ("bramble_phones", "Voicemail in the new office", 75, "03_approved", None),
    ("hafenlicht", "Driver app: first screens", 2400, "01_in_progress", None),
    ("hafenlicht", "Report of the backups, every Monday", 0, "1_done", 9),
    ("aurora", "Photographs of the new menu", 180, "1_done", 3),
    ("aurora", "Delivery by district", 460, "02_changes_requested", None),
    ("kitano", "Order form for distributors", 940, "1_done", 6),
    ("alnoor", "Reminder by text message", 350, "1_done", 10),
    ("meghdoot_courses", "Timer for exams", 275, "1_done", 4),
    ("meghdoot_helpline", "Announcement in Marathi", 120, "04_waiting_normal", None),
    ("kereru", "Page for returns", 160, "01_in_progress", None),
    ("kereru", "Chat on every page", 0, "1_canceled", None),
    ("thornbury", "Emergency line: forward to a mobile", 145, "1_done", 2),
    ("thornbury", "Fax by e-mail", 0, "1_canceled", None),
    ("cedar", "Cookie notice", 120, "1_done", 8),
    ("own", "Price list, written anew", 300, "1_done", 11),
    ("own", "Photographs of the team", 0, "01_in_progress", None),
)
# Among them: on a draft, and not to be billed after all.
CASES_DRAFTED = {"Timer for exams"}
CASES_DISCARDED = {"Cookie notice"}

# Charges as they stand today: where, product, description, days ago, quantity, price, discount, months of a period,
# what became of it
CHARGES_NOW = (
    ("bramble_site", "domain", "Domain bramble-and-finch.example, one year", 4, 1, 22, 0, 12, "open"),
    ("hafenlicht", "support", "Remote help with the new handsets", 6, 2.5, 64, 0, 0, "open"),
    ("aurora", "design", "Menu cards for the counter", 3, 4, 85, 20, 0, "open"),
    ("kereru", None, "Photographs bought for the autumn campaign", 5, 1, 0, 0, 0, "open"),
    ("kitano", "web", "Credit: catalogue offline on two days", 2, 1, -40, 0, 0, "open"),
    ("marisol", "support", "E-mail on a new phone", 1, 0.5, 70, 0, 0, "open"),
    ("quay", "domain", "Domain oldquaybooks.example, final year", 20, 1, 22, 0, 12, "open"),
    ("cedar", "porting", "Three numbers, called off again", 12, 3, 25, 0, 0, "discard"),
    ("bramble_phones", "support", "Headsets tried out on site", 3, 2, 70, 0, 0, "draft"),
    ("kitano", "design", "Symbols for the product groups", 4, 8, 85, 5, 0, "draft"),
    ("thornbury", "line", "Two lines for the summer locum", 7, 2, 14.5, 0, 3, "draft"),
    ("marisol", "hosting", "Online gallery for one wedding", 15, 1, 60, 0, 6, "cancel"),
    ("cedar", "design", "Poster for the members’ meeting", 18, 3, 85, 0, 0, "cancel"),
)

# What the two clients who log in contest on their last open invoice: reason, words, how much of the first item
OBJECTIONS = {
    "client1": ("period", "We cancelled this in the middle of the month.", 0.5),
    "client2": ("amount", "The offer said ten percent less.", 0.1),
}

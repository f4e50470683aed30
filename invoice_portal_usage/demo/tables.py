"""What is called from the demo business's telephones, and what calls cost. `billing_usage_demo.py` plays it."""

# destination group, prefix, price a minute, minimum and step in seconds, connection fee
RATES = (
    ("USA and Canada", "1", 0.02, 60, 60, 0),
    ("USA, free numbers", "1800", 0, 60, 60, 0),
    ("Germany", "49", 0.03, 60, 60, 0),
    ("Germany mobile", "4915", 0.14, 1, 1, 0),
    ("Germany mobile", "4917", 0.14, 1, 1, 0),
    ("United Kingdom", "44", 0.03, 60, 60, 0),
    ("United Kingdom mobile", "447", 0.11, 30, 6, 0.02),
    ("Japan", "81", 0.06, 30, 6, 0),
    ("Brazil", "55", 0.08, 30, 6, 0),
    ("Everywhere else", "*", 0.45, 60, 60, 0.05),
)
# client, number, calls a day, whether a package includes minutes, what they call
NUMBERS = (
    ("bramble", "+1 503-555-0142", 9, True, ("1", "1800", "44", "447", "49")),
    ("bramble", "+1 503-555-0143", 4, True, ("1", "1800", "81")),
    ("hafenlicht", "+49 40 66969 210", 14, False, ("49", "4915", "4917", "44", "55", "90")),
    ("thornbury", "+44 117 496 0173", 7, False, ("44", "447", "49")),
)
# So many minutes a month are free at home.
INCLUDED = 300

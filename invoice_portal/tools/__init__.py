from . import addresses, grant, interest, local_time, pdf, periods, smtp, undone
from . import addresses, csv_text, grant, local_time, pdf, periods, smtp, undone

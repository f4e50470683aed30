from . import addresses, csv_text, grant, interest, local_time, pdf, periods, smtp, undone

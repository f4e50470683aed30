from . import addresses, grant, interest, local_time, pdf, periods, smtp, undone

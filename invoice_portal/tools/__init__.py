from . import addresses, grant, local_time, pdf, periods, smtp, undone

from . import addresses, grant, local_time, pdf, smtp

from . import grant, local_time, pdf

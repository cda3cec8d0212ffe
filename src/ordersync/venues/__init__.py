"""What an exchange says. Each venue turns its own wire protocol into Sightings, Absences, Silences.

`answers` judges an HTTP answer, `budget` spends the venue's rate limit, `reader` asks. A venue
has its parsing pure and apart from its transport. Everything here only reads: the reader can
send nothing but GET.
"""

"""Which commit of the engine made a profile slower: build and measure those between a fast one and a slow one.

`search` and `decision` think, without touching anything: what to measure next, of all that is known. `history` reads the
commits, `image` builds one, `served` lets it serve on a box in place of a profile, `session` measures it and records, and
`remembered` keeps what the records don't tell.
"""

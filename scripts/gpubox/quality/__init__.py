"""Whether what a server writes is right, beside how fast it writes it."""

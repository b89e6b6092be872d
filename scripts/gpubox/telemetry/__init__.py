"""What a box does while it is measured: read there by one small program, kept with each run, judged here."""

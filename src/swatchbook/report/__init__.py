"""Tables in, one page out: figures, sentences and the offline report. Never imports torch."""

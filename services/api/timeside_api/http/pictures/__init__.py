"""Pictures of any size and span, and the numbers of a waveform, from what is in the store."""

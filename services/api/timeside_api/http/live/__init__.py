"""Live sessions: sources that are heard and analysed while they last."""

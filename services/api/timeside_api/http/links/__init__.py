"""Links: addresses that open one file for a while, for players and downloads, which cannot send a header."""

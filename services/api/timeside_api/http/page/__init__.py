"""The page at `/`: sign in, upload, analyse, watch results grow, listen."""

"""CPU time and memory beside the libraries one would use otherwise, on the same work, in the same run, as ratios."""

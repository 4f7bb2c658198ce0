"""Items: sources with what is said of them."""

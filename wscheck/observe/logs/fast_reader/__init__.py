"""Records of a known shape, read straight from the bytes of a log."""

"""Facts about source code that opens connections: the place, the context, and whether something closes them."""

"""THE CLIENT UNDER TEST: the unified page that shares one connection, and the per-component fault it replaced."""

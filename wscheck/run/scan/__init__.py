"""`wscheck scan`: find the places in source code that open connections."""

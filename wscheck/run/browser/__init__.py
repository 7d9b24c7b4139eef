"""`wscheck browser`: evaluate the connections of real pages in a real browser."""

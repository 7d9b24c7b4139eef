"""`wscheck har`: evaluate the connections in HAR files."""

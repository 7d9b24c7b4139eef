"""Commands of `wscheck`, one file each. Large libraries are imported only when a command runs."""

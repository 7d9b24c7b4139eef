"""Small servers in place of the backends of applications."""

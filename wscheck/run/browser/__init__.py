"""`wscheck browser` and `wscheck har`: judge what a page did."""

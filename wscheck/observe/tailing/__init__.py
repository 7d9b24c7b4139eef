"""FOLLOWING A LOG BY NAME: every byte that is still on disk once, whatever rotates, truncates or copies the file.

fingerprint   how a place in a log is recognised again, whatever the file is called by now
generations   which other files hold what came after that place
packed        what is inside a gzip file
opened        one file held open, and whether it is still the file that was being read
follower      one name, followed over its generations
resuming      where an earlier run stopped, found again
wakeup        when to look: inotify as a hint, the clock otherwise
checkpoint    where to go on after a restart
"""

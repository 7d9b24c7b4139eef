"""Conversion of server logs in any format to events. docs/logs.md describes the formats and their limits.

Terms of this package:

marker    text that identifies an event in a log line, such as "client connected"
needle    short text that every line with a certain marker contains; a log is searched for needles first
record    the marker and its ids, on one line or on several lines
role      meaning of a value in a record: user, sid, old, new, reason, time, namespace or page
prefix    text in front of a message that the logger added: time, level, process
envelope  what a collector or container runtime adds around a line, for example JSON or a CRI header
writer    the process that wrote a line, if an envelope or a prefix names it
"""

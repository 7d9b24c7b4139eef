"""Conversion of server logs in any format to events. docs/logs.md describes the formats and their limits.

Terms of this package and its subpackages:

marker     text that identifies an event in a log line, such as "client connected"; the built-in markers are those of
           docs/logs.md
needle     short text that every line with a certain marker contains; a log is searched for needles first
record     one report of an event: the marker and the ids that belong to it, on one line or on several lines
key        name in front of a value in a line, or name of a field of a structured record: "userId" in `userId=42`
kind       kind of event: connected, disconnected, replaced and so on
role       what a value in a record identifies: user, sid, old (sid), new (sid), reason, time, namespace or page
prefix     text in front of a message that the logger added: time, level, process
envelope   what a collector or container runtime adds around a line, for example JSON or a CRI header
writer     the process that wrote a line, if an envelope or a prefix names it
shape      what the records of one kind have in common when ids and times are ignored: their fixed bytes
template   byte pattern that the fast reader makes from one record, to read all later records of the same shape
statement  one logging call in the source code of the server, and the lines that it wrote (see `wording`)
wording    the words with which a server reports connections, if they are not those of a marker
"""

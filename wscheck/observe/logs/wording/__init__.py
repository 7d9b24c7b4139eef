"""Recognition of connection events in logs whose lines contain no known marker.

A server may report connections in words of its own: "uplink raised for ann". This package finds such lines, decides
which event they report, and where the ids are. Terms, in addition to those of `wscheck.observe.logs`:

statement  one logging call in the source code of the server, and the lines that it wrote: the same words, other values
message    text of a line without the prefix that the logger added
slot       variable value in a message, such as an id or a number
place      position of a value in all lines of a statement: the number of a slot, a field, or a position in the prefix
label      word or key in front of a value that names it: "user" in "user ann"
tag        value that a logger put in the prefix, such as the request id in "[req-17]"
group      all lines of one statement in the log
column     the values at one place of a group
reading    decision about a statement: the kind of event that it reports, and the places of its ids
certain    the words and ids of a statement leave no doubt about its reading; otherwise the reading is a guess
structure  order and repetition of ids in a log, independently of its words: an id occurs in a first statement, later in
           a second one
row        line with its parsed message
"""

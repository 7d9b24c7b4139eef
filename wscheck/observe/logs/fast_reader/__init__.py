"""Fast reader of records that have the same bytes as an earlier record, except ids and times.

shape     what such records have in common: all bytes except ids and times
template  byte pattern that is made from one record and reads all records of its shape
trial     templates from one record that are compared with the general reader until one of them is trusted
"""

"""Following of logs by name: each byte still on disk is read once, also after rotations, truncations and copies.

log_paths       the files that the command line names, without duplicates
follower        one log, followed over its current and rotated files
generations     rotated files of a log
open_file       one open file, its position, and the check that it is unchanged
packed_log      unpacked content of a packed file
stream          one writer's output over several files
read_buffer     the reusable buffer for chunks
checkpoint      the state from which a later run continues
"""

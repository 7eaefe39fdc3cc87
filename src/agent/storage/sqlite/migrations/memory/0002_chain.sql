-- The log is chained: each entry's hash covers the one before it, its head, and a salted commitment of its item, which stays
-- when the item is forgotten. What was there before is chained by parts.py, in the same transaction.

alter table memory_log add column salt blob;
alter table memory_log add column pledge blob;
alter table memory_log add column hash blob;

-- What is still to be learnt from. The index has only those traces: usually few, or none.

alter table trace add column signalled integer not null default -1;
alter table trace add column learnt integer not null default -1;
create index trace_unlearnt on trace(no) where signalled > learnt;

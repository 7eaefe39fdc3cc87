-- A fork inherits the steps of its parent up to a sequence; nothing is copied.

alter table trace add column fork_at integer;

-- Cases beside experiences and skills, what runs were told, and where things came from. The log is still the truth: parts.py makes
-- all of this anew from it, in the same transaction.

drop table memory_posting;
drop table memory_item;
drop table memory_shelf;

create table memory_shelf(      -- items of one kind, scope and owner: what a search is limited to; and uses
  no integer primary key,       -- memory_log.number of the change that opened it
  kind text not null,
  scope text not null,
  owner text not null,          -- '' is nobody's, '=' and a uid somebody's
  tokenizer text not null,      -- what made its postings
  items integer not null,       -- on it, of items
  length integer not null,      -- of them all
  unique(kind, scope, owner)
);

create table memory_item(
  no integer primary key,       -- memory_log.number of its addition, or of the last cut
  id text not null,             -- unique, because its addition is
  shelf integer not null,
  name text,                    -- of a skill; of a case its tool
  state text not null,
  created integer not null,
  valid_from integer,
  valid_to integer,
  length integer not null,      -- tokens
  data blob                     -- null of a case: it is as it was added, so the log has it
);
create index memory_item_shelf on memory_item(shelf, name);
create index memory_item_special on memory_item(shelf, state, valid_from, valid_to, length)
  where state <> 'active' or valid_from is not null or valid_to is not null;  -- those that may not be in use
create index memory_item_age on memory_item(created, id);

-- Which item has a token how often: an index and nothing else, so without rowid (half the size of a table and its index).
-- Not FTS5: every count is here, so that scores are exact for what one uid may see and the same on every store; and what is
-- forgotten is gone at once. With the length a search needs no other table until it knows what is best: bench/memory.py.
create table memory_posting(
  shelf integer not null,
  token text not null,
  item integer not null,
  count integer not null,
  length integer not null,      -- of the item
  primary key(shelf, token, item)
) without rowid;

create table memory_origin(     -- what any version of an item rests on: runs, other items
  origin text not null,
  item integer not null,
  primary key(origin, item)
) without rowid;

create table memory_use(        -- what one run was told; the items are in the log
  no integer primary key,       -- memory_log.number
  shelf integer not null,
  number integer not null,      -- counts the runs of the shelf
  at integer not null,
  outcome real,
  signal text,
  by text
);
create unique index memory_use_place on memory_use(shelf, number);

create table memory_used(       -- which runs were told of an item
  item text not null,           -- its id
  use integer not null,
  primary key(item, use)
) without rowid;

-- A memory. Its log is the truth; items, shelves and postings are what it amounts to.

create table memory_log(
  number integer primary key,   -- only added to, so a number is never used again
  at integer not null,          -- milliseconds since 1970, as all moments
  uid text,                     -- the owner at that time: who may see the entry
  change text not null,
  item_id text not null,
  by text,
  successor text,
  data blob                     -- the item as added or edited: storage/memory_log.py; null once it was forgotten
);
create index memory_log_item on memory_log(item_id);  -- finds items too: their numbers are numbers of the log

create table memory_shelf(      -- items of one kind, scope and owner: what a search is limited to
  kind text not null,
  scope text not null,
  owner text not null,          -- '' is nobody's, '=' and a uid somebody's
  no integer not null,          -- memory_log.number of the change that opened it
  tokenizer text not null,      -- what made its postings
  primary key(kind, scope, owner)
) without rowid;

create table memory_item(
  no integer primary key,       -- memory_log.number of its addition
  id text not null,             -- unique, because its addition is
  shelf integer not null,
  name text,                    -- of a skill
  state text not null,
  created integer not null,
  valid_from integer,
  valid_to integer,
  length integer not null,      -- tokens
  data blob not null
);
create index memory_item_use on memory_item(shelf, state, valid_from, valid_to, length);
create index memory_item_age on memory_item(created, id);

-- Which active item has a token how often: an index and nothing else, so without rowid (half the size of a table and its index).
-- Not FTS5: every count is here, so that scores are exact for what one uid may see and the same on every store; and what is
-- forgotten is gone at once. Measured with 5,000 items on a shelf: 5 ms a search (FTS5: 3 ms for candidates only), .2 KB an item.
create table memory_posting(
  shelf integer not null,
  token text not null,
  item integer not null,
  count integer not null,
  primary key(shelf, token, item)
) without rowid;

-- The record of runs. Rowid tables (`without rowid` takes three times the disk here) and as few indexes as do:
-- every one on `step` is written again with each step.

create table trace(
  no integer primary key,
  id text not null unique,
  mode text not null,
  task,                      -- text; a blob where it is no valid unicode
  agent_type,
  uid text,
  context blob not null,     -- msgpack
  status text not null,
  created integer not null,  -- milliseconds since 1970, as all moments
  completed integer,
  tokens integer not null,
  cost real,
  is_partial integer not null,
  waiting integer not null,  -- calls that wait for a person
  conversation text,
  parent text,
  format integer not null,
  epoch integer not null,
  owner text,
  tail integer,              -- step.id of the last commit, where that is not the step of the largest sequence
  seal blob                  -- hash of the last step when the status was last set: what was cut off since, shows
);
create index trace_uid on trace(uid);
create index trace_conversation on trace(conversation) where conversation is not null;
create index trace_parent on trace(parent) where parent is not null;
create index trace_open on trace(status) where status in ('running', 'waiting', 'paused');

create table step(
  id integer primary key,    -- order of commit over all traces
  trace integer not null,
  seq integer not null,
  epoch integer not null,
  kind text not null,
  at integer not null,
  parents text not null,
  hash blob not null,        -- before the data, which may go on over many pages: the next append reads it
  data blob not null         -- payload and salt: storage/codec.py
);
create unique index step_place on step(trace, seq);

create table step_name(      -- ids that a caller chose
  step integer primary key,
  trace integer not null,
  name text not null,
  unique(trace, name)
);

create table blob(
  id integer primary key,
  hash blob not null unique,
  data blob not null
);

create table blob_use(       -- which traces hold a blob: the last one takes it along
  trace integer not null,
  blob integer not null,
  primary key(trace, blob)
) without rowid;             -- rows that are nothing but their key

create table process(        -- who drives runs, and when it last said so
  owner text primary key,
  beat integer not null
) without rowid;

-- States: values by owner and key. A rowid table, for a value may go on over many pages.

create table state(
  no integer primary key,
  owner text not null,          -- '' is nobody's, '=' and a uid somebody's
  key text not null,
  version integer not null,
  expires integer,              -- milliseconds since 1970
  value text not null,          -- JSON
  unique(owner, key)
);
create index state_expires on state(expires) where expires is not null;

create table state_used(        -- the largest version that a removed key of the owner had: later ones begin above
  owner text primary key,
  version integer not null
) without rowid;

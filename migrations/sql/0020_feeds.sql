-- Feeds: where events come from by themselves, what came, and what could not be used.
--
-- A feed belongs to a jurisdiction; the web sees it when the claimed one holds it whole. What arrives is
-- one batch and one transaction: its events, where each came from, its dead letters and the place to go on.

create table feed (
  id int generated always as identity primary key,
  pack text not null check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  name text not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
  title text not null default '' check (length(title) <= 80),
  code text collate "C" not null default '' check (length(code) <= 64),
  adapter text not null check (adapter in ('folder', 'push', 'pull', 'sql', 'kafka')),
  mapping jsonb not null,
  mapped_at timestamptz not null default clock_timestamp(),
  settings jsonb not null,
  expected_s int check (expected_s > 0),
  every_s int not null default 60 check (every_s > 0),
  paused boolean not null default false,
  cursor jsonb not null default '{}',
  next_look timestamptz not null default clock_timestamp(),
  looked_at timestamptz,
  failures int not null default 0 check (failures >= 0),
  error text check (length(error) <= 500),
  made_at timestamptz not null default clock_timestamp(),
  removed_at timestamptz
);
create unique index feed_name on feed (pack, name) where removed_at is null;
create index feed_due on feed (next_look) where removed_at is null and not paused;
comment on table feed is 'feeds of events: how they come, how they are read, where they go on';
comment on column feed.id is 'number of the feed';
comment on column feed.pack is 'map its events lie on';
comment on column feed.name is 'its name, and that of the source of its events';
comment on column feed.title is 'what people call it; empty: its name';
comment on column feed.code is 'jurisdiction it belongs to: its events lie inside; empty: the whole map';
comment on column feed.adapter is 'how it comes: folder, push, pull, sql, kafka';
comment on column feed.mapping is 'which of its columns is what; with its declared CRS';
comment on column feed.mapped_at is 'when the mapping last changed: shares are counted since';
comment on column feed.settings is 'of the adapter: addresses and names of files, never a secret; not for the web';
comment on column feed.expected_s is 'something arrives at least every so many seconds; null: learnt from the arrivals';
comment on column feed.every_s is 'seconds between two looks of the watcher';
comment on column feed.paused is 'true: it is not looked at and nothing is taken';
comment on column feed.cursor is 'where the next look goes on; changed only together with the rows before it';
comment on column feed.next_look is 'not looked at before; later after failures';
comment on column feed.looked_at is 'when it was last looked at with success';
comment on column feed.failures is 'looks in a row that failed';
comment on column feed.error is 'why the last one did; no password stands in it';
comment on column feed.made_at is 'when it was entered';
comment on column feed.removed_at is 'when it was ended; its events and where they came from stay';

create table feed_batch (
  id bigint generated always as identity primary key,
  feed_id int not null references feed on delete cascade,
  key text collate "C" not null check (length(key) between 1 and 200),
  origin text not null check (length(origin) <= 500),
  rows int not null check (rows >= 0),
  new int not null default 0,
  updated int not null default 0,
  rejected int not null default 0,
  unkept int not null default 0,
  reasons jsonb not null default '{}',
  compared int not null default 0,
  mismatch int not null default 0,
  tried jsonb,
  newest timestamptz,
  account_id int,
  arrived_at timestamptz not null default clock_timestamp(),
  unique (feed_id, key)
);
create index feed_batch_arrived on feed_batch (feed_id, arrived_at desc);
comment on table feed_batch is 'what arrived, piece by piece';
comment on column feed_batch.id is 'number of the batch';
comment on column feed_batch.feed_id is 'feed it came from';
comment on column feed_batch.key is 'the same key again is the same batch: it changes nothing';
comment on column feed_batch.origin is 'file and lines, page, offsets or request';
comment on column feed_batch.rows is 'rows it held, usable or not';
comment on column feed_batch.new is 'events that were not there before';
comment on column feed_batch.updated is 'events it corrected';
comment on column feed_batch.rejected is 'rows that could not be used';
comment on column feed_batch.unkept is 'of these, rows without a dead letter, for there were too many';
comment on column feed_batch.reasons is 'rejected rows by reason';
comment on column feed_batch.compared is 'events whose code and point could be compared';
comment on column feed_batch.mismatch is 'of these, how many disagree';
comment on column feed_batch.tried is 'of some points with a code, how many disagree under each reading; n: of how many';
comment on column feed_batch.newest is 'time of its newest event';
comment on column feed_batch.account_id is 'program that sent it; null: it was fetched';
comment on column feed_batch.arrived_at is 'when it was stored, with its events';

create table feed_row (
  event_id bigint primary key,
  batch_id bigint not null references feed_batch on delete cascade,
  place text not null check (length(place) <= 200)
);
comment on table feed_row is 'where an event came from, the last time it was written; no key to event, which may be emptied';
comment on column feed_row.event_id is 'event.id';
comment on column feed_row.batch_id is 'batch that wrote it last';
comment on column feed_row.place is 'line, row, offset or cursor inside the batch';

create table feed_dead (
  id bigint generated always as identity primary key,
  feed_id int not null references feed on delete cascade,
  batch_id bigint not null references feed_batch on delete cascade,
  place text not null check (length(place) <= 200),
  field text not null,
  value text not null,
  reason text not null,
  said text not null,
  row jsonb,
  digest text not null,
  at timestamptz not null default clock_timestamp(),
  state text not null default 'open' check (state in ('open', 'replayed', 'superseded')),
  settled_at timestamptz,
  check ((state = 'open') = (settled_at is null))
);
create index feed_dead_open on feed_dead (feed_id, id) where state = 'open';
create unique index feed_dead_once on feed_dead (feed_id, digest) where state = 'open';
create index feed_dead_batch on feed_dead (batch_id);
comment on table feed_dead is 'rows that could not be used, to be read again with a mended mapping';
comment on column feed_dead.id is 'number of the letter';
comment on column feed_dead.feed_id is 'feed it came from';
comment on column feed_dead.batch_id is 'batch it came in';
comment on column feed_dead.place is 'line, row, offset or cursor inside the batch';
comment on column feed_dead.field is 'columns that are wrong, as the feed calls them';
comment on column feed_dead.value is 'what stands there; withheld where it looks like a person''s';
comment on column feed_dead.reason is 'what is wrong, for programs';
comment on column feed_dead.said is 'what is wrong, in words';
comment on column feed_dead.row is 'the mapped columns of the row; null: it holds what looks like a person''s, could not be read, or is too long';
comment on column feed_dead.digest is 'sha256 of the letter: the same row again is no second letter while it is open';
comment on column feed_dead.at is 'when it came';
comment on column feed_dead.state is 'superseded: a newer row of the same reference came since';
comment on column feed_dead.settled_at is 'when it was replayed or superseded; null: open';

alter table feed enable row level security;
alter table feed_batch enable row level security;
alter table feed_row enable row level security;
alter table feed_dead enable row level security;
create policy feed_read on feed for select to wusetu_web using (
  (select claimed_all()) or (code <> '' and code ^@ any ((select claimed_prefixes())::text[])));
create policy feed_batch_read on feed_batch for select to wusetu_web
  using (exists (select from feed f where f.id = feed_id));
create policy feed_dead_read on feed_dead for select to wusetu_web
  using (exists (select from feed f where f.id = feed_id));
grant select (id, pack, name, title, code, adapter, mapping, mapped_at, expected_s, every_s, paused, looked_at,
              failures, error, made_at, removed_at) on feed to wusetu_web;
grant select on feed_batch, feed_dead to wusetu_web;

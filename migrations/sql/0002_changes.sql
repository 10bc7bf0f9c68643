-- Changes of events since a snapshot, and the snapshots of the aggregation engine.
--
-- A snapshot stores the pg_snapshot it was read under. What that pg_snapshot does not see is the
-- delta, whatever order transactions commit in: an event begun before and committed after it too.

-- pg_current_xact_id is stable: events that are there get this migration's number, nothing is rewritten.
alter table event add column changed_in xid8 not null default pg_current_xact_id();
-- A btree, because BRIN has no class for xid8 and its ranges are all read until a vacuum sums them up.
create index event_changed on event (changed_in);
comment on column event.changed_in is 'transaction that wrote this row: 8-byte number, see pg_visible_in_snapshot';

create table event_removed (
  pack text not null,
  event_id bigint not null,
  kind text not null,
  occurred_at timestamptz not null,
  located_by text not null,
  boundary_version_id int,
  unit_id int,
  geom geometry(Point, 4326),
  changed_in xid8 not null,
  removed_in xid8 not null
);
create index event_removed_in on event_removed (removed_in);
comment on table event_removed is 'what an event was before it was corrected or deleted; kept while a snapshot still counts it';
comment on column event_removed.pack is 'pack of its source at that time';
comment on column event_removed.event_id is 'event.id at that time';
comment on column event_removed.kind is 'event.kind at that time';
comment on column event_removed.occurred_at is 'event.occurred_at at that time';
comment on column event_removed.located_by is 'event.located_by at that time';
comment on column event_removed.boundary_version_id is 'event.boundary_version_id at that time';
comment on column event_removed.unit_id is 'event.unit_id at that time';
comment on column event_removed.geom is 'event.geom at that time, EPSG:4326';
comment on column event_removed.changed_in is 'transaction that had written the row as it was';
comment on column event_removed.removed_in is 'transaction that corrected or deleted it';

create function event_renewed() returns trigger
language plpgsql as $$
begin
  new.changed_in := pg_current_xact_id();
  return new;
end
$$;
comment on function event_renewed is 'a corrected event belongs to the transaction that corrected it';

create function event_was() returns trigger
language plpgsql
set search_path = wusetu, public
as $$
begin
  -- what one transaction both wrote and removed nobody else has seen
  insert into event_removed
  select s.pack, o.id, o.kind, o.occurred_at, o.located_by, o.boundary_version_id, o.unit_id, o.geom,
         o.changed_in, pg_current_xact_id()
  from gone o join event_source s on s.id = o.source_id
  where o.changed_in <> pg_current_xact_id();
  return null;
end
$$;
comment on function event_was is 'keeps what corrected and deleted events were, all of a statement at once';

create trigger event_renewed before update on event
  for each row execute function event_renewed();
create trigger event_updated after update on event
  referencing old table as gone for each statement execute function event_was();
create trigger event_deleted after delete on event
  referencing old table as gone for each statement execute function event_was();

create table cube_snapshot (
  id int generated always as identity primary key,
  pack text not null,
  boundary_version_id int not null references boundary_version on delete cascade,
  time_zone text not null,
  taken pg_snapshot not null,
  server bigint not null,
  digest text not null,
  events bigint not null,
  elsewhere bigint not null,
  bytes bigint not null,
  newest timestamptz,
  made_by text not null check (made_by in ('build', 'compact')),
  read_at timestamptz not null,
  published_at timestamptz not null default now()
);
create index cube_snapshot_newest on cube_snapshot (pack, boundary_version_id, id desc);
comment on table cube_snapshot is 'published snapshots of the events of a pack: <data folder>/snapshots/<digest>; the highest id of a boundary version is the newest';
comment on column cube_snapshot.id is 'number of the snapshot';
comment on column cube_snapshot.pack is 'map its events lie on';
comment on column cube_snapshot.boundary_version_id is 'its unit ids are those of this version';
comment on column cube_snapshot.time_zone is 'its days, weeks and months are local ones of this zone';
comment on column cube_snapshot.taken is 'what the snapshot sees; the rest is its delta';
comment on column cube_snapshot.server is 'system identifier of the server that counted the transactions of taken';
comment on column cube_snapshot.digest is 'sha256 of its manifest, and the name of its folder';
comment on column cube_snapshot.events is 'events in it';
comment on column cube_snapshot.elsewhere is 'events located in another boundary version: in it by their points, in none of its units';
comment on column cube_snapshot.bytes is 'size of all its files';
comment on column cube_snapshot.newest is 'time of the newest event in it; null: it is empty';
comment on column cube_snapshot.made_by is 'build: read from all events; compact: the one before with its delta';
comment on column cube_snapshot.read_at is 'when its events were read';
comment on column cube_snapshot.published_at is 'when it could be asked first';

create function event_emptied() returns trigger
language plpgsql
set search_path = wusetu, public
as $$
begin
  delete from cube_snapshot;
  delete from event_removed;
  return null;
end
$$;
comment on function event_emptied is 'truncate tells no rows: every snapshot of before ends with it';
create trigger event_truncated after truncate on event
  for each statement execute function event_emptied();

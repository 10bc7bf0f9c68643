-- Imports of many events: keys checked a statement at a time, and what was adopted already.

-- A foreign key asks once per row, and two writers that lock the same unit make a multixact for
-- each of them: two thirds of an import. A statement asks once. The promise is the same: no event
-- points at a source or unit that is not there, and neither goes while an event points at it.
alter table event drop constraint event_boundary_version_id_unit_id_fkey;
alter table event drop constraint event_source_id_fkey;

create function event_keys() returns trigger
language plpgsql
security definer  -- as a foreign key does: who writes events need not own what they point at
set search_path = wusetu, public
as $$
declare
  wrong record;
begin
  -- held until this transaction ends; a unit goes only after its version was locked
  perform from event_source s
  where s.id in (select distinct a.source_id from added a) for key share;
  perform from boundary_version v
  where v.id in (select distinct a.boundary_version_id from added a) for key share;
  select a.source_id into wrong
  from (select distinct source_id from added) a
  where not exists (select from event_source s where s.id = a.source_id)
  limit 1;
  if found then
    raise foreign_key_violation using
      message = format('event source %s does not exist', wrong.source_id), table = 'event';
  end if;
  select a.boundary_version_id, a.unit_id into wrong
  from (select distinct boundary_version_id, unit_id from added
        where boundary_version_id is not null and unit_id is not null) a
  where not exists (select from unit u
                    where u.boundary_version_id = a.boundary_version_id and u.id = a.unit_id)
  limit 1;
  if found then
    raise foreign_key_violation using
      message = format('unit %s of boundary version %s does not exist',
                       wrong.unit_id, wrong.boundary_version_id),
      table = 'event';
  end if;
  return null;
end
$$;
comment on function event_keys is 'refuses events whose source or unit is not there, all of a statement at once';

create function event_keeps_unit() returns trigger
language plpgsql
security definer  -- as a foreign key does: who writes events need not own what they point at
set search_path = wusetu, public
as $$
declare
  wrong record;
begin
  perform from gone g
  where not exists (select from unit u
                    where u.boundary_version_id = g.boundary_version_id and u.id = g.id);
  if not found then
    return null;  -- an update that left the keys as they were
  end if;
  -- waits for whoever is writing events of these versions; nothing comes in afterwards
  perform from boundary_version v
  where v.id in (select distinct g.boundary_version_id from gone g) for update;
  select e.boundary_version_id, e.unit_id into wrong
  from event e
  where e.boundary_version_id in (select distinct g.boundary_version_id from gone g)
    and e.unit_id is not null
    and not exists (select from unit u
                    where u.boundary_version_id = e.boundary_version_id and u.id = e.unit_id)
  limit 1;
  if found then
    raise foreign_key_violation using
      message = format('unit %s of boundary version %s still has events',
                       wrong.unit_id, wrong.boundary_version_id),
      table = 'unit';
  end if;
  return null;
end
$$;
comment on function event_keeps_unit is 'refuses to let units go that an event points at';

create function event_keeps_source() returns trigger
language plpgsql
security definer  -- as a foreign key does: who writes events need not own what they point at
set search_path = wusetu, public
as $$
declare
  wrong record;
begin
  select g.id into wrong from gone g
  where exists (select from event e where e.source_id = g.id)
    and not exists (select from event_source s where s.id = g.id)
  limit 1;
  if found then
    raise foreign_key_violation using
      message = format('event source %s still has events', wrong.id), table = 'event_source';
  end if;
  return null;
end
$$;
comment on function event_keeps_source is 'refuses to let sources go that an event points at';

create trigger event_keys_added after insert on event
  referencing new table as added for each statement execute function event_keys();
create trigger event_keys_changed after update on event
  referencing new table as added for each statement execute function event_keys();
create trigger event_keeps_unit_gone after delete on unit
  referencing old table as gone for each statement execute function event_keeps_unit();
create trigger event_keeps_unit_changed after update on unit
  referencing old table as gone for each statement execute function event_keeps_unit();
create trigger event_keeps_source_gone after delete on event_source
  referencing old table as gone for each statement execute function event_keeps_source();
create trigger event_keeps_source_changed after update on event_source
  referencing old table as gone for each statement execute function event_keeps_source();

create table bulk_part (
  job text not null,
  part int not null,
  source_id int not null references event_source on delete cascade,
  events bigint not null,
  adopted_at timestamptz not null default now(),
  primary key (job, part)
);
comment on table bulk_part is 'parts of bulk jobs whose events are stored; written with them, so that a part is adopted once';
comment on column bulk_part.job is 'sha256 of what the job was asked to do';
comment on column bulk_part.part is 'number of the part, from 0';
comment on column bulk_part.source_id is 'source its events were stored under';
comment on column bulk_part.events is 'events it brought; how many of them were new is not kept';
comment on column bulk_part.adopted_at is 'when they were stored';

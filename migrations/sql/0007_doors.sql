-- Roles, grants and row-level security by jurisdiction.
--
-- The web asks as wusetu_web. That role owns nothing, and of rows that belong to a place it sees
-- those inside the jurisdiction claimed for the transaction:
--   set_config('wusetu.prefixes', '330102,330105', true)   code prefixes; '*' is everything
-- No claim, no row. Owners and commands stand outside of this, as row security has it.

do $$
declare
  name text;
begin
  foreach name in array array['wusetu_web', 'wusetu_ingest'] loop
    begin
      execute format('create role %I login nosuperuser nocreatedb nocreaterole noinherit', name);
    exception
      when duplicate_object or unique_violation then null;  -- roles belong to the server, not to the database
      when insufficient_privilege then
        raise exception 'the role % is missing and may not be made here', name
          using hint = format('let the administrator of the server run: create role %I login noinherit', name);
    end;
  end loop;
end
$$;

create function claimed_all() returns boolean language sql stable parallel safe as
  $$ select coalesce(current_setting('wusetu.prefixes', true), '') = '*' $$;
comment on function claimed_all is 'whether this transaction claims everything';

create function claimed_prefixes() returns text[] language sql stable parallel safe as
  $$ select string_to_array(coalesce(current_setting('wusetu.prefixes', true), ''), ',') $$;
comment on function claimed_prefixes is 'code prefixes this transaction claims; none: an empty list';

create function may_see(code text) returns boolean language sql stable parallel safe as
  $$ select code is not null and (claimed_all() or code ^@ any (claimed_prefixes())) $$;
comment on function may_see is 'whether a code lies inside the claimed jurisdiction; for single rows (policies ask once per query)';

-- A view reads as its owner: what every tile shows of a unit, without its code and name.
create view unit_skeleton as select boundary_version_id, id, level, parent_id from unit;
comment on view unit_skeleton is 'ids and kinship of all units, also of those that may not be seen: ids are places in packed values';
comment on column unit_skeleton.boundary_version_id is 'unit.boundary_version_id';
comment on column unit_skeleton.id is 'unit.id';
comment on column unit_skeleton.level is 'unit.level';
comment on column unit_skeleton.parent_id is 'unit.parent_id';

-- A name is shown of what is inside the jurisdiction and of what contains it.
alter table unit enable row level security;
create policy unit_read on unit for select to wusetu_web using (
  (select claimed_all())
  or code ^@ any ((select claimed_prefixes())::text[])
  or exists (select from unnest((select claimed_prefixes())::text[]) as mine where mine ^@ code)
);

do $$
declare
  place record;
begin
  for place in
    select * from (values
      ('succession', 'from_code'), ('exposure', 'code'),
      ('run_unit', 'code'), ('assessment', 'code'), ('packed_values', 'county_code')
    ) as scoped (name, code)
  loop
    execute format('alter table %I enable row level security', place.name);
    execute format(
      'create policy %I on %I for select to wusetu_web using '
      '((select claimed_all()) or %I ^@ any ((select claimed_prefixes())::text[]))',
      place.name || '_read', place.name, place.code);
  end loop;
end
$$;

-- Events themselves are never read by the web; what it may know of them is in the runs.
alter table event enable row level security;
alter table event_source enable row level security;
alter table event_removed enable row level security;
alter table cube_snapshot enable row level security;

grant usage on schema wusetu to wusetu_web, wusetu_ingest;
grant select on
  code_layout, boundary_version, unit, unit_skeleton, succession, exposure,
  run_period, run_unit, run_rate, assessment, packed_values, tile_geometry, tile_archive, alembic_version
  to wusetu_web;
-- totals over all jurisdictions stay with those who claim everything: see run_totals
grant select (id, pack, boundary_version_id, scene, scene_body, status, time_zone, kinds, measures,
              simulated, data_cutoff, started_at, published_at) on run to wusetu_web;

create view run_totals as
  select id as run_id, event_count, located from run where claimed_all();
comment on view run_totals is 'counts over the whole map of a run; no row for a jurisdiction that is a part of it';
comment on column run_totals.run_id is 'run.id';
comment on column run_totals.event_count is 'run.event_count';
comment on column run_totals.located is 'run.located';
create view run_coverage as select id as run_id, located -> 'months' as months from run;
comment on view run_coverage is 'first and last month the events of a run reach over';
comment on column run_coverage.run_id is 'run.id';
comment on column run_coverage.months is '[first, last], both included, as 12 × year + month - 1; null: no event';
grant select on run_totals, run_coverage to wusetu_web;

-- Cells cross borders: a row holds cells of many units. Whoever may not see everything has none of them.
do $$
declare
  name text;
begin
  foreach name in array array['run_leaf', 'run_cell', 'run_cell_count', 'run_cell_rate', 'run_cell_class', 'run_cell_value'] loop
    execute format('alter table %I enable row level security', name);
    execute format('create policy %I on %I for select to wusetu_web using ((select claimed_all()))', name || '_read', name);
  end loop;
end
$$;
grant select on cell_grid, cell_grid_part, run_leaf, run_cell, run_cell_count, run_cell_rate, run_cell_class, run_cell_value
  to wusetu_web;

-- Feeds write events and read what they need to place them, nothing else.
grant select on code_layout, boundary_version, unit, unit_skeleton, succession to wusetu_ingest;
grant select, insert on event_source to wusetu_ingest;
grant select, insert, update, delete on event to wusetu_ingest;
grant select, insert on bulk_part to wusetu_ingest;
grant insert on event_removed to wusetu_ingest;
create policy event_removed_ingest on event_removed for insert to wusetu_ingest with check (true);
create policy unit_ingest on unit for select to wusetu_ingest using (true);
create policy succession_ingest on succession for select to wusetu_ingest using (true);
create policy event_ingest on event to wusetu_ingest using (true) with check (true);
create policy event_source_ingest on event_source to wusetu_ingest using (true) with check (true);

-- Versions of scenes, indicators and their values.
--
-- A value belongs to a unit of the map or of the register; `place` is the unit of the map that decides who
-- sees it. Facilities are units of a level of their own (building sites, firms), never persons.

create table scene_version (
  id int generated always as identity primary key,
  name text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  version int not null check (version > 0),
  digest text not null,
  body json not null,
  applied_at timestamptz not null default now(),
  unique (name, version)
);
comment on table scene_version is 'scenes as they were applied; never changed, so that an old run keeps its scene';
comment on column scene_version.id is 'number of the version among all scenes';
comment on column scene_version.name is 'name of the scene';
comment on column scene_version.version is 'number inside the scene, from 1';
comment on column scene_version.digest is 'sha256 of the body in canonical form: the same scene twice is one version';
comment on column scene_version.body is 'the complete scene; json keeps the order of its keys';
comment on column scene_version.applied_at is 'when it was applied';

create function scene_stays() returns trigger language plpgsql as $$
begin
  raise exception 'a scene version or a finished run is never changed' using errcode = 'insufficient_privilege';
end
$$;
comment on function scene_stays is 'refuses changes of what is immutable';
create trigger scene_version_fixed before update on scene_version for each statement execute function scene_stays();

create table scene_unit (
  pack text not null check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  code text collate "C" not null check (length(code) between 1 and 64),
  level text not null check (level ~ '^[a-z][a-z0-9_]{0,39}$'),
  name text not null check (length(name) between 1 and 80),
  name_en text,
  parent text collate "C",
  place text collate "C" not null,
  geom geometry(Point, 4326),
  primary key (pack, code)
);
comment on table scene_unit is 'register: units the map does not have, such as building sites and firms, or areas of a pack without a map';
comment on column scene_unit.pack is 'map or register it belongs to';
comment on column scene_unit.code is 'its code in the register';
comment on column scene_unit.level is 'level it is a unit of, as the scene names it (site, firm …)';
comment on column scene_unit.name is 'name of the place, never of a person';
comment on column scene_unit.name_en is 'its English name; null: none was given';
comment on column scene_unit.parent is 'code of the unit it belongs to, of the map or of the register; null: at the top';
comment on column scene_unit.place is 'code of the unit of the map it lies in; without a map its own';
comment on column scene_unit.geom is 'where it is, EPSG:4326; null: known by its unit only';

create table indicator_feed (
  pack text not null,
  scene text not null,
  feed text not null,
  source text not null default '',
  simulated boolean not null default false,
  period text not null check (period in ('day', 'month', 'quarter', 'year')),
  first date not null,
  through date not null,
  updated_at timestamptz not null default now(),
  primary key (pack, scene, feed),
  check (through > first)
);
comment on table indicator_feed is 'what a feed has covered: from its first period to the end of its last';
comment on column indicator_feed.pack is 'map its values lie on';
comment on column indicator_feed.scene is 'scene whose measures it feeds';
comment on column indicator_feed.feed is 'its name inside the scene';
comment on column indicator_feed.source is 'where it comes from, as told at the import';
comment on column indicator_feed.simulated is 'true when any of it is made up; shown wherever a value is';
comment on column indicator_feed.period is 'finest period of its rows';
comment on column indicator_feed.first is 'first local day of its first period';
comment on column indicator_feed.through is 'day after the last period it has sent anything about';
comment on column indicator_feed.updated_at is 'when it was last imported';

create table indicator_value (
  pack text not null,
  scene text not null,
  measure text not null,
  period text not null check (period in ('day', 'month', 'quarter', 'year')),
  start date not null,
  code text collate "C" not null,
  place text collate "C" not null,
  value double precision not null check (value >= 0 and value < 'infinity'::double precision),
  primary key (pack, scene, measure, period, start, code)
);
comment on table indicator_value is 'what feeds sent: one number per unit, period and measure';
comment on column indicator_value.pack is 'map the unit lies on';
comment on column indicator_value.scene is 'scene whose measure it is';
comment on column indicator_value.measure is 'measure of the scene';
comment on column indicator_value.period is 'type of period';
comment on column indicator_value.start is 'first local day of the period';
comment on column indicator_value.code is 'unit of the map or of the register';
comment on column indicator_value.place is 'unit of the map it belongs to';
comment on column indicator_value.value is 'amount, in the measure''s own unit; never negative';

create table indicator_item (
  pack text not null,
  scene text not null,
  deadline text not null,
  reference text collate "C" not null check (length(reference) between 1 and 40),
  kind text not null check (length(kind) between 1 and 80),
  important boolean not null default false,
  code text collate "C" not null,
  place text collate "C" not null,
  due date not null,
  done date,
  primary key (pack, scene, deadline, reference)
);
comment on table indicator_item is 'things that run out (contracts, permits): when they are due and when they were settled';
comment on column indicator_item.pack is 'map the unit lies on';
comment on column indicator_item.scene is 'scene whose deadline it is';
comment on column indicator_item.deadline is 'deadline of the scene: how long before and after is warned';
comment on column indicator_item.reference is 'number of the contract or permit in its own register; never of a person';
comment on column indicator_item.kind is 'what runs out, in words';
comment on column indicator_item.important is 'true: shown before others that are due';
comment on column indicator_item.code is 'unit of the map or of the register it belongs to';
comment on column indicator_item.place is 'unit of the map it belongs to: decides who sees it';
comment on column indicator_item.due is 'last local day it is good for';
comment on column indicator_item.done is 'local day it was settled; null: not yet';

create table indicator_run (
  id int generated always as identity primary key,
  pack text not null,
  scene text not null,
  scene_version_id int not null references scene_version,
  boundary_version_id int references boundary_version,
  status text not null check (status in ('running', 'published', 'failed')),
  as_of date not null,
  simulated boolean not null default false,
  feeds jsonb not null default '[]',
  notes jsonb not null default '[]',
  message text,
  started_at timestamptz not null default now(),
  published_at timestamptz
);
create index indicator_run_newest on indicator_run (pack, scene, id desc) where status = 'published';
comment on table indicator_run is 'a computation of all indicators of a scene; immutable once published';
comment on column indicator_run.id is 'number of the run';
comment on column indicator_run.pack is 'map it computes';
comment on column indicator_run.scene is 'name of the scene';
comment on column indicator_run.scene_version_id is 'the scene as it was';
comment on column indicator_run.boundary_version_id is 'version its units of the map are of; null: a pack without a map';
comment on column indicator_run.status is 'running until all of it is stored; only published runs are shown; failed ones keep their message';
comment on column indicator_run.as_of is 'day after the newest period any source has covered';
comment on column indicator_run.simulated is 'true when any of its values is made up; shown wherever a value is';
comment on column indicator_run.feeds is 'each feed with what it covers and whether it has stopped';
comment on column indicator_run.notes is 'what was odd, unit by unit: divisions by 0, missing measures; for whoever sees everything';
comment on column indicator_run.message is 'why it failed; null: it did not';
comment on column indicator_run.started_at is 'when it began';
comment on column indicator_run.published_at is 'when all of it became visible at once; null: not yet';

create table indicator_period (
  run_id int not null references indicator_run on delete cascade,
  period text not null check (period in ('day', 'month', 'quarter', 'year')),
  ord smallint not null,
  start date not null,
  stop date not null,
  complete boolean not null,
  primary key (run_id, period, ord)
);
comment on table indicator_period is 'periods of a run; ord from 0 is the index (from 0) into the arrays of indicator_result';
comment on column indicator_period.run_id is 'run it is a period of';
comment on column indicator_period.period is 'type of period';
comment on column indicator_period.ord is 'number of the period, from 0, oldest first';
comment on column indicator_period.start is 'first local day';
comment on column indicator_period.stop is 'day after the last';
comment on column indicator_period.complete is 'false when the sources do not cover all of it';

create table indicator_unit (
  run_id int not null references indicator_run on delete cascade,
  code text collate "C" not null,
  level text not null,
  name text not null,
  name_en text,
  path text[] not null,
  place text collate "C" not null,
  primary key (run_id, code)
);
comment on table indicator_unit is 'units of a run as they were named';
comment on column indicator_unit.run_id is 'run it is a unit of';
comment on column indicator_unit.code is 'its code';
comment on column indicator_unit.level is 'its level, as the scene names it';
comment on column indicator_unit.name is 'its name';
comment on column indicator_unit.name_en is 'its English name; null: none';
comment on column indicator_unit.path is 'codes of its ancestors, coarse to fine, and its own';
comment on column indicator_unit.place is 'unit of the map it lies in: decides who sees it';

create table indicator_result (
  run_id int not null references indicator_run on delete cascade,
  level text not null,
  period text not null,
  indicator text not null,
  code text collate "C" not null,
  place text collate "C" not null,
  numerator double precision[],
  denominator double precision[],
  value double precision[] not null,
  score double precision[],
  class smallint[],
  step smallint[],
  primary key (run_id, level, period, indicator, code)
);
comment on table indicator_result is 'results, one row per unit, indicator (group, field, total) and period type; arrays over indicator_period.ord, nan = no data';
comment on column indicator_result.run_id is 'run it is a result of';
comment on column indicator_result.level is 'level of the unit';
comment on column indicator_result.period is 'type of period';
comment on column indicator_result.indicator is 'id of the indicator, group, field or total';
comment on column indicator_result.code is 'unit it is about';
comment on column indicator_result.place is 'unit of the map it lies in: decides who sees it';
comment on column indicator_result.numerator is 'what was counted; null for an index';
comment on column indicator_result.denominator is 'what it was divided by; null where nothing is';
comment on column indicator_result.value is 'the indicator, in its own unit';
comment on column indicator_result.score is '0 to 100, 100 = best; null: the indicator has none';
comment on column indicator_result.class is 'place in the palette from 1 (best), 0 = no data; null: the indicator has none';
comment on column indicator_result.step is 'escalation: 0 none, 1 remind, 2 supervise, 3 interview; null: the scene has none';

create function indicator_run_stays() returns trigger language plpgsql as $$
begin
  if old.status = 'published' then
    raise exception 'a published run is never changed' using errcode = 'insufficient_privilege';
  end if;
  return new;
end
$$;
comment on function indicator_run_stays is 'refuses changes of a published run';
create trigger indicator_run_fixed before update on indicator_run for each row execute function indicator_run_stays();
create trigger indicator_result_fixed before update on indicator_result for each statement execute function scene_stays();

do $$
declare
  name text;
begin
  foreach name in array array['scene_unit', 'indicator_value', 'indicator_item', 'indicator_unit', 'indicator_result'] loop
    execute format('alter table %I enable row level security', name);
    execute format(
      'create policy %I on %I for select to wusetu_web using '
      '((select claimed_all()) or place ^@ any ((select claimed_prefixes())::text[]))',
      name || '_read', name);
  end loop;
end
$$;

grant select on scene_version, scene_unit, indicator_feed, indicator_value, indicator_item, indicator_period,
  indicator_unit, indicator_result to wusetu_web;
-- notes name units of every jurisdiction: see indicator_run_notes
grant select (id, pack, scene, scene_version_id, boundary_version_id, status, as_of, simulated, feeds, message,
              started_at, published_at) on indicator_run to wusetu_web;
create view indicator_run_notes as select id as run_id, notes from indicator_run where claimed_all();
comment on view indicator_run_notes is 'what was odd in a run; no row for a jurisdiction that is a part of the map';
comment on column indicator_run_notes.run_id is 'indicator_run.id';
comment on column indicator_run_notes.notes is 'indicator_run.notes';
grant select on indicator_run_notes to wusetu_web;

-- Devices: the registry, readings by day, versioned rules, alarms.
--
-- A device belongs to the unit it stands in (`code`) and to that unit's side. Its owner sees all of it;
-- the other sides of a zone in force see where it stands, its state and its alarms, never a reading,
-- a rule or an event. Readings and alarms are written by the installation itself (services/device_ingest).

alter table live_event drop constraint live_event_topic_check;
alter table live_event add constraint live_event_topic_check
  check (topic in ('run', 'zone', 'check', 'device', 'alarm', 'alert', 'task'));

create table device (
  id int generated always as identity primary key,
  pack text not null check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  reference text collate "C" not null check (reference ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$'),
  kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,39}$'),
  side text collate "C" not null check (side <> ''),
  code text collate "C" not null,
  located_by text not null check (located_by in ('code', 'point')),
  place text not null default '' check (length(place) <= 80),
  geom geometry(Point, 4326) not null,
  every_s int not null default 60 check (every_s between 1 and 604800),
  simulated boolean not null default false,
  made_at timestamptz not null default now(),
  retired_at timestamptz,
  unique (pack, side, reference),
  check (code ^@ side)
);
create index device_geom on device using gist (geom);
create index device_code on device (pack, code);
comment on table device is 'sensors bound to a place; nothing of a person';
comment on column device.id is 'number of the device';
comment on column device.pack is 'map it stands on';
comment on column device.reference is 'its own name on its side, as it signs its readings';
comment on column device.kind is 'smoke infrared water temperature …';
comment on column device.side is 'side that owns it';
comment on column device.code is 'finest unit it stands in';
comment on column device.located_by is 'what said where it is: a code (then it stands at the label point of the unit) or a point';
comment on column device.place is 'name of the place, for people';
comment on column device.geom is 'where it stands, EPSG:4326, longitude latitude';
comment on column device.every_s is 'it says something at least every so many seconds';
comment on column device.simulated is 'made up: its events are, too';
comment on column device.made_at is 'when it was registered';
comment on column device.retired_at is 'since when it is no longer there; its past is kept';

create table device_state (
  device_id int primary key references device on delete cascade,
  state text not null default 'offline' check (state in ('online', 'flapping', 'offline')),
  since timestamptz not null default now(),
  last_seen timestamptz,
  last_at timestamptz,
  returns timestamptz[] not null default '{}'
) with (fillfactor = 60);
comment on table device_state is 'whether a device is heard; written with every batch of its readings';
comment on column device_state.device_id is 'device it is the state of';
comment on column device_state.state is 'online: heard; flapping: comes and goes; offline: silent for longer than it may be';
comment on column device_state.since is 'when it came into this state';
comment on column device_state.last_seen is 'when something of it last arrived here; null: never';
comment on column device_state.last_at is 'newest time of its own on a reading';
comment on column device_state.returns is 'when it last came back from being offline, the newest few';

create function device_begins() returns trigger language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
begin
  insert into device_state (device_id) values (new.id);
  return null;
end
$$;
comment on function device_begins is 'every device has a state, from the first moment';
create trigger device_begun after insert on device for each row execute function device_begins();

-- No key to device: devices are retired, never deleted, and a key costs a look per reading.
create table reading (
  device_id int not null,
  at timestamptz not null,
  seq int not null default 0,
  value double precision check (value > '-infinity' and value < 'infinity'),
  received_at timestamptz not null default clock_timestamp(),
  primary key (device_id, at, seq)
) partition by range (at);
comment on table reading is 'what devices said; one part per day (UTC), made ahead, old ones dropped';
comment on column reading.device_id is 'device that said it; no key to device, which is retired and never deleted';
comment on column reading.at is 'time of the device';
comment on column reading.seq is 'number among readings of one time; device, time and number make sending again harmless';
comment on column reading.value is 'in the measure of its kind; null: a sign of life';
comment on column reading.received_at is 'when it arrived here';

create function make_reading_days(first date, last date) returns int language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
declare
  day date;
  name text;
  made int := 0;
begin
  if last - first > 4000 then
    raise exception 'too many days at once' using errcode = 'check_violation';
  end if;
  for day in select generate_series(first, last, interval '1 day')::date loop
    name := 'reading_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass(format('wusetu.%I', name)) is not null;
    perform pg_advisory_xact_lock(hashtext('wusetu reading days'));
    -- asked anew of the catalogue: what another transaction made meanwhile is in no cache yet
    continue when exists (select from pg_class c where c.relname = name and c.relnamespace = 'wusetu'::regnamespace);
    -- made beside and attached: readings go on being written meanwhile
    execute format('create table %I (like reading including all)', name);
    execute format('comment on table %I is %L', name, 'readings of ' || day);
    execute format('alter table %I enable row level security', name);
    execute format('alter table reading attach partition %I for values from (%L) to (%L)',
                   name, day::text || ' 00:00Z', (day + 1)::text || ' 00:00Z');
    made := made + 1;
  end loop;
  return made;
end
$$;
comment on function make_reading_days is 'makes the parts of reading for some days; how many were missing';

create function drop_reading_days(before date) returns int language plpgsql
set search_path = wusetu, public, pg_temp
as $$
declare
  name text;
  gone int := 0;
begin
  for name in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
              where i.inhparent = 'wusetu.reading'::regclass and c.relname ~ '^reading_[0-9]{8}$'
                and to_date(right(c.relname, 8), 'YYYYMMDD') < before order by 1 loop
    execute format('drop table %I', name);
    gone := gone + 1;
  end loop;
  return gone;
end
$$;
comment on function drop_reading_days is 'drops the parts of reading of days before one; how many';
revoke execute on function make_reading_days, drop_reading_days from public;

create table device_rule (
  id int not null check (id > 0),
  version int not null check (version > 0),
  pack text not null,
  side text collate "C" not null,
  within text collate "C" not null,
  kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,39}$'),
  title_zh text not null check (length(title_zh) between 1 and 80),
  title_en text not null check (length(title_en) between 1 and 80),
  sense text not null check (sense in ('above', 'below', 'silence')),
  level double precision not null check (level > '-infinity' and level < 'infinity'),
  reset double precision check (reset > '-infinity' and reset < 'infinity'),
  hold_s int not null default 0 check (hold_s between 0 and 2592000),
  night_from time,
  night_to time,
  quiet_s int not null default 0 check (quiet_s between 0 and 2592000),
  near_n int check (near_n between 2 and 100),
  near_metres double precision check (near_metres > 0 and near_metres <= 50000),
  near_s int check (near_s between 1 and 86400),
  heard boolean not null default true,
  event_kind text check (event_kind ~ '^[a-z][a-z0-9_]{0,39}$'),
  enabled boolean not null default true,
  made_by int,
  valid_from timestamptz not null default now(),
  valid_to timestamptz,
  primary key (id, version),
  check (within ^@ side),
  check ((night_from is null) = (night_to is null)),
  check (night_from is distinct from night_to or night_from is null),
  check ((near_n is null) = (near_metres is null) and (near_n is null) = (near_s is null)),
  check (sense <> 'silence' or (hold_s > 0 and near_n is null)),
  check (reset is null or (sense = 'above' and reset <= level) or (sense = 'below' and reset >= level))
);
create unique index device_rule_present on device_rule (id) where valid_to is null;
create sequence device_rule_number owned by device_rule.id;
alter table device_rule alter column id set default nextval('device_rule_number');
comment on table device_rule is 'what readings raise an alarm; a change is another version';
comment on column device_rule.id is 'number of the rule, the same for all its versions';
comment on column device_rule.version is 'number of the version, from 1';
comment on column device_rule.pack is 'map it holds on';
comment on column device_rule.side is 'side the unit in within belongs to';
comment on column device_rule.within is 'devices in this unit';
comment on column device_rule.kind is 'devices of this kind';
comment on column device_rule.title_zh is 'what its alarm is called, Chinese';
comment on column device_rule.title_en is 'what its alarm is called, English';
comment on column device_rule.sense is 'above: at least level; below: at most level; silence: nothing above level for hold_s';
comment on column device_rule.level is 'threshold, in the measure of the kind';
comment on column device_rule.reset is 'what began goes on until a value is beyond it; null: level';
comment on column device_rule.hold_s is 'so many seconds without a break';
comment on column device_rule.night_from is 'only from this hour of the installation''s zone …';
comment on column device_rule.night_to is '… until before this one, over midnight where it is earlier';
comment on column device_rule.quiet_s is 'raised again so soon, it is the same alarm and no new event';
comment on column device_rule.near_n is 'devices, itself included, that have to show it …';
comment on column device_rule.near_metres is '… within so many metres of it …';
comment on column device_rule.near_s is '… within so many seconds of it';
comment on column device_rule.heard is 'silence: only while the device itself is heard';
comment on column device_rule.event_kind is 'kind of the event an alarm raises; null: none';
comment on column device_rule.enabled is 'false: kept, but raises nothing';
comment on column device_rule.made_by is 'account that made this version; null: the installation itself';
comment on column device_rule.valid_from is 'moment this version began';
comment on column device_rule.valid_to is 'when another version or nothing took its place; null: the present one';

create table device_track (
  device_id int not null references device on delete cascade,
  rule_id int not null,
  version int not null,
  at timestamptz,
  since timestamptz,
  hit boolean not null default false,
  hit_at timestamptz,
  primary key (device_id, rule_id)
) with (fillfactor = 60);
create index device_track_hit on device_track (rule_id, hit_at) where hit_at is not null;
comment on table device_track is 'how far a device is with a rule';
comment on column device_track.device_id is 'device that is tracked';
comment on column device_track.rule_id is 'rule it is tracked under';
comment on column device_track.version is 'version of the rule it was tracked under; another one begins anew';
comment on column device_track.at is 'time of the newest reading looked at';
comment on column device_track.since is 'since when it holds without a break; silence: when there was last something';
comment on column device_track.hit is 'whether the newest reading fulfilled the rule';
comment on column device_track.hit_at is 'when it was last fulfilled';

create table device_alarm (
  id bigint generated always as identity primary key,
  device_id int not null references device on delete cascade,
  rule_id int not null,
  version int not null,
  pack text not null,
  state text not null default 'raised' check (state in ('raised', 'cleared')),
  raised_at timestamptz not null,
  last_at timestamptz not null,
  told_at timestamptz not null default clock_timestamp(),
  repeats int not null default 0,
  devices int[] not null check (cardinality(devices) > 0),
  cleared_at timestamptz,
  cleared_by int,
  reason text not null default '' check (length(reason) <= 200),
  event_due boolean not null default false,
  foreign key (rule_id, version) references device_rule,
  check ((state = 'cleared') = (cleared_at is not null))
);
create unique index device_alarm_one on device_alarm (device_id, rule_id) where state = 'raised';
create index device_alarm_last on device_alarm (device_id, rule_id, last_at desc);
create index device_alarm_due on device_alarm (id) where event_due;
create index device_alarm_raised on device_alarm using gin (devices) where state = 'raised';
comment on table device_alarm is 'alarms: raised by a rule, cleared by what came after or by a desk';
comment on column device_alarm.id is 'number of the alarm';
comment on column device_alarm.device_id is 'device that raised it';
comment on column device_alarm.rule_id is 'rule that raised it';
comment on column device_alarm.version is 'version of the rule at that time';
comment on column device_alarm.pack is 'map of the device';
comment on column device_alarm.state is 'raised: goes on; cleared: over';
comment on column device_alarm.raised_at is 'time of the reading, or of the clock, that raised it first';
comment on column device_alarm.last_at is 'when it was last raised';
comment on column device_alarm.told_at is 'when the installation knew of it';
comment on column device_alarm.repeats is 'how often it was raised again too soon to be another one';
comment on column device_alarm.devices is 'all devices that showed it, its own first';
comment on column device_alarm.cleared_at is 'when it was over; null: it goes on';
comment on column device_alarm.cleared_by is 'account that cleared it; null: readings did';
comment on column device_alarm.reason is 'why a desk cleared it, in its words';
comment on column device_alarm.event_due is 'its event is not stored yet';

-- Whose map a device's news belongs on: its own unit's, and the other sides of zones it stands in.
create function device_sides(device int) returns text[] language sql stable security definer
set search_path = wusetu, public, pg_temp
as $$
  select array[d.code] || array(
    select distinct s from zone z join zone_version v on v.zone_id = z.id and v.state = 'live'
      and v.valid_from <= now() and (v.valid_to is null or v.valid_to > now()), unnest(v.sides) s
    where z.pack = d.pack and d.side = any (v.sides) and s <> d.side and v.geom && d.geom
      and ST_Covers(v.geom, d.geom) order by s)
  from device d where d.id = device
$$;
comment on function device_sides is 'code prefixes that hear of a device';
revoke execute on function device_sides from public;

create function device_state_told() returns trigger language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
declare
  one device;
begin
  select d.* into one from device d where d.id = new.device_id;
  insert into live_event (topic, sides, payload) values ('device', device_sides(one.id), jsonb_build_object(
    'device', one.id, 'pack', one.pack, 'kind', one.kind, 'lon', st_x(one.geom), 'lat', st_y(one.geom),
    'state', new.state, 'since', new.since));
  return null;
end
$$;
comment on function device_state_told is 'tells open pages that a device came into another state';
create trigger device_state_told after update of state on device_state
  for each row when (old.state <> new.state) execute function device_state_told();

create function device_alarm_told() returns trigger language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
declare
  one device;
begin
  select d.* into one from device d where d.id = new.device_id;
  insert into live_event (topic, sides, payload) values ('alarm', device_sides(one.id), jsonb_build_object(
    'device', one.id, 'alarm', new.id, 'rule', new.rule_id, 'pack', one.pack, 'kind', one.kind,
    'lon', st_x(one.geom), 'lat', st_y(one.geom), 'state', new.state,
    'at', case when new.state = 'raised' then new.last_at else new.cleared_at end));
  if new.state = 'cleared' and new.cleared_by is not null then
    perform border_audit('alarm.cleared', new.cleared_by, new.pack, jsonb_build_object(
      'alarm', new.id, 'device', one.id, 'rule', new.rule_id, 'reason', new.reason));
  end if;
  return null;
end
$$;
comment on function device_alarm_told is 'tells open pages of an alarm, and audits who cleared it';
create trigger device_alarm_raised after insert on device_alarm
  for each row execute function device_alarm_told();
create trigger device_alarm_changed after update of state, devices, repeats on device_alarm
  for each row when (old.state <> new.state or old.devices <> new.devices or old.repeats <> new.repeats)
  execute function device_alarm_told();

create function device_rule_audited() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
begin
  perform border_audit('device.rule', new.made_by, new.pack, jsonb_build_object(
    'rule', new.id, 'version', new.version, 'within', new.within, 'kind', new.kind,
    'enabled', new.enabled, 'ended', new.valid_to is not null));
  return null;
end
$$;
comment on function device_rule_audited is 'every version of a rule is an entry of the audit';
create trigger device_rule_audited after insert or update on device_rule
  for each row execute function device_rule_audited();

-- who sees and does what
do $$
declare
  name text;
begin
  foreach name in array array['device', 'device_state', 'reading', 'device_rule', 'device_track', 'device_alarm'] loop
    execute format('alter table %I enable row level security', name);
  end loop;
end
$$;
create policy device_read on device for select to wusetu_web
  using (may_see(code) or point_in_zone(pack, side, geom));
create policy device_add on device for insert to wusetu_web with check (may_see(code));
create policy device_change on device for update to wusetu_web using (may_see(code)) with check (may_see(code));
create policy device_state_read on device_state for select to wusetu_web
  using (exists (select from device d where d.id = device_id));
create policy reading_read on reading for select to wusetu_web
  using (exists (select from device d where d.id = device_id and may_see(d.code)));
create policy device_rule_read on device_rule for select to wusetu_web
  using (may_see(within) or exists (select from unnest(claimed_prefixes()) mine where mine <> '' and mine ^@ within));
create policy device_rule_add on device_rule for insert to wusetu_web with check (may_see(within));
create policy device_rule_end on device_rule for update to wusetu_web using (may_see(within)) with check (may_see(within));
create policy device_alarm_read on device_alarm for select to wusetu_web
  using (exists (select from device d where d.id = device_id));
create policy device_alarm_clear on device_alarm for update to wusetu_web
  using (exists (select from device d where d.id = device_id and may_see(d.code)))
  with check (state = 'cleared');

grant select on device, device_state, reading, device_rule to wusetu_web;
grant select (id, device_id, rule_id, version, pack, state, raised_at, last_at, told_at, repeats, devices, cleared_at,
              cleared_by, reason) on device_alarm to wusetu_web;
grant insert (pack, reference, kind, side, code, located_by, place, geom, every_s, simulated) on device to wusetu_web;
grant update (kind, side, code, located_by, place, geom, every_s, retired_at) on device to wusetu_web;
grant insert on device_rule to wusetu_web;
grant update (valid_to) on device_rule to wusetu_web;
grant usage on sequence device_rule_number to wusetu_web;
grant update (state, cleared_at, cleared_by, reason) on device_alarm to wusetu_web;
-- A word of the other side's rule is shown with its alarm, and nothing else of it.
create function alarm_words(rule int, version int, out zh text, out en text) language sql stable security definer
set search_path = wusetu, pg_temp
as $$ select r.title_zh, r.title_en from device_rule r where r.id = rule and r.version = alarm_words.version $$;
comment on function alarm_words is 'what an alarm is called';
revoke execute on function alarm_words from public;
grant execute on function alarm_words to wusetu_web;

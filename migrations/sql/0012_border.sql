-- The border: shared lines, joint-control zones, desks, checkpoints, two-sided checks, what happens now.
--
-- A side is a code prefix: a unit of the coarsest level of a map that has two or more. A row names its
-- sides; the web sees it when the claimed jurisdiction holds one of them whole, or (zones) when the
-- account belongs to the zone. Nothing here describes a person.

create function holds_side(sides text[]) returns boolean language sql stable parallel safe as
  $$ select claimed_all() or exists (
       select from unnest(sides) as side where side ^@ any (claimed_prefixes())) $$;
comment on function holds_side is 'whether the claimed jurisdiction holds one of some sides whole';

create function claimed_zones() returns int[] language sql stable parallel safe as
  $$ select coalesce(string_to_array(nullif(current_setting('wusetu.zones', true), ''), ','), '{}')::int[] $$;
comment on function claimed_zones is 'joint-control zones this transaction claims to belong to';

create table border_line (
  id int generated always as identity primary key,
  boundary_version_id int not null references boundary_version on delete cascade,
  side_a text collate "C" not null,
  side_b text collate "C" not null,
  name_a text not null,
  name_b text not null,
  length_m double precision not null check (length_m > 0),
  geom geometry(MultiLineString, 4326) not null,
  unique (boundary_version_id, side_a, side_b),
  check (side_a < side_b)
);
comment on table border_line is 'line two sides share, found from the edges both have; made once per boundary version';
comment on column border_line.id is 'number of the line';
comment on column border_line.boundary_version_id is 'version whose edges it is found from';
comment on column border_line.side_a is 'code of one side, the smaller';
comment on column border_line.side_b is 'code of the other side, the greater';
comment on column border_line.name_a is 'its name: whoever shares a line knows with whom';
comment on column border_line.name_b is 'name of the other side';
comment on column border_line.length_m is 'geodesic length on WGS84, metres';
comment on column border_line.geom is 'the line, EPSG:4326, longitude latitude';

create table border_made (
  boundary_version_id int primary key references boundary_version on delete cascade,
  sides text[] not null,
  made_at timestamptz not null default now()
);
comment on table border_made is 'boundary versions whose lines were looked for';
comment on column border_made.boundary_version_id is 'version whose lines are in border_line, be they none';
comment on column border_made.sides is 'all sides of the map, ascending';
comment on column border_made.made_at is 'when they were found';

create table zone (
  id int generated always as identity primary key,
  pack text not null check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  name text not null check (length(name) between 1 and 80),
  side text collate "C" not null,
  sides text[] not null check (array_position(sides, null) is null and cardinality(sides) > 0),
  made_at timestamptz not null default now()
);
create index zone_pack on zone (pack, id);
comment on table zone is 'joint-control zones';
comment on column zone.id is 'number of the zone';
comment on column zone.pack is 'map it lies on';
comment on column zone.name is 'what the sides call it';
comment on column zone.side is 'side that made it';
comment on column zone.sides is 'who sees it: the maker alone until a version was proposed, then all sides of its versions';
comment on column zone.made_at is 'when it was made';

create table zone_version (
  zone_id int not null references zone on delete cascade,
  version int not null check (version > 0),
  state text not null check (state in ('draft', 'proposed', 'live', 'expired', 'rejected')),
  side text collate "C" not null,
  sides text[] not null check (cardinality(sides) > 1),
  units text[] not null check (cardinality(units) > 1),
  metres double precision check (metres > 0),
  valid_from timestamptz not null,
  valid_to timestamptz,
  note text not null default '' check (length(note) <= 500),
  geom geometry(MultiPolygon, 4326) not null,
  made_by int,
  made_at timestamptz not null default now(),
  primary key (zone_id, version),
  check (valid_to is null or valid_to > valid_from)
);
create index zone_version_geom on zone_version using gist (geom);
comment on table zone_version is 'a zone as it was, is or is to be; its ground and members never change';
comment on column zone_version.zone_id is 'zone it is a version of';
comment on column zone_version.version is 'number of the version, from 1';
comment on column zone_version.state is 'draft: seen by its maker; proposed: waits for approvals; live: in force, or will be at valid_from; expired; rejected by a side';
comment on column zone_version.side is 'side that made it';
comment on column zone_version.sides is 'all sides of its member units: each has to approve';
comment on column zone_version.units is 'codes of its member units';
comment on column zone_version.metres is 'to either side of the line its members share; null: drawn';
comment on column zone_version.valid_from is 'moment it begins';
comment on column zone_version.valid_to is 'moment it ends; null: until another version takes its place';
comment on column zone_version.note is 'what the sides should know of it';
comment on column zone_version.geom is 'its ground, EPSG:4326, longitude latitude';
comment on column zone_version.made_by is 'account that made it; null: the installation itself';
comment on column zone_version.made_at is 'when it was made';

create table zone_approval (
  zone_id int not null,
  version int not null,
  side text collate "C" not null,
  decision text not null check (decision in ('approve', 'reject')),
  reason text not null default '' check (length(reason) <= 500),
  account_id int,
  at timestamptz not null default now(),
  primary key (zone_id, version, side),
  foreign key (zone_id, version) references zone_version on delete cascade
);
comment on table zone_approval is 'what each side decided about a version; once';
comment on column zone_approval.zone_id is 'zone it is about';
comment on column zone_approval.version is 'version it is about';
comment on column zone_approval.side is 'side that decided';
comment on column zone_approval.decision is 'what it decided';
comment on column zone_approval.reason is 'why, in its words; never empty with a rejection';
comment on column zone_approval.account_id is 'account that spoke for the side; null: the installation itself';
comment on column zone_approval.at is 'when it decided';

create table duty_desk (
  id int generated always as identity primary key,
  pack text not null,
  code text collate "C" not null,
  side text collate "C" not null,
  name text not null check (length(name) between 1 and 80),
  office_line text check (office_line ~ '^[0-9+() -]{5,24}$'
    and regexp_replace(office_line, '[^0-9]', '', 'g') !~ '^(0*86)?0?1[3-9][0-9]{9}$'),
  hours text not null default '' check (length(hours) <= 80),
  unique (pack, code, name)
);
comment on table duty_desk is 'desks on duty: offices, never persons';
comment on column duty_desk.id is 'number of the desk';
comment on column duty_desk.pack is 'map it is a desk of';
comment on column duty_desk.code is 'unit it is on duty for';
comment on column duty_desk.side is 'side it belongs to';
comment on column duty_desk.name is 'name of the office, never of a person';
comment on column duty_desk.office_line is 'telephone of the office; mobile numbers are refused';
comment on column duty_desk.hours is 'when it is manned, as written on its door';

create table checkpoint (
  id int generated always as identity primary key,
  pack text not null,
  code text collate "C" not null check (length(code) between 1 and 64),
  side text collate "C" not null,
  name text not null check (length(name) between 1 and 80),
  kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,39}$'),
  geom geometry(Point, 4326) not null,
  unique (pack, code)
);
create index checkpoint_geom on checkpoint using gist (geom);
comment on table checkpoint is 'places where vehicles and goods are looked at';
comment on column checkpoint.id is 'number of the checkpoint';
comment on column checkpoint.pack is 'map it stands on';
comment on column checkpoint.code is 'its own code inside the map';
comment on column checkpoint.side is 'side it belongs to';
comment on column checkpoint.name is 'name of the place';
comment on column checkpoint.kind is 'what kind of place it is, a word such as road';
comment on column checkpoint.geom is 'where it stands, EPSG:4326, longitude latitude';

-- Shared when named in a zone both sides have: that is, a zone that reached the other side.
create function shared_in_zone(wanted_pack text, code text) returns boolean
language sql stable security definer
set search_path = wusetu, public, pg_temp
as $$
  select exists (
    select from zone z join zone_version v on v.zone_id = z.id and v.state = 'live'
      and v.valid_from <= now() and (v.valid_to is null or v.valid_to > now())
    where z.pack = wanted_pack and code = any (v.units)
      and (holds_side(v.sides) or z.id = any (claimed_zones())))
$$;
comment on function shared_in_zone is 'whether a unit is a member of a zone in force of the claimed side';
create function point_in_zone(wanted_pack text, its_side text, place geometry) returns boolean
language sql stable security definer
set search_path = wusetu, public, pg_temp
as $$
  select exists (
    select from zone z join zone_version v on v.zone_id = z.id and v.state = 'live'
      and v.valid_from <= now() and (v.valid_to is null or v.valid_to > now())
    where z.pack = wanted_pack and its_side = any (v.sides) and v.geom && place and ST_Covers(v.geom, place)
      and (holds_side(v.sides) or z.id = any (claimed_zones())))
$$;
comment on function point_in_zone is 'whether a place of a side lies in a zone in force of that side and the claimed one';

create table check_case (
  id int generated always as identity primary key,
  zone_id int not null,
  version int not null,
  side text collate "C" not null,
  sides text[] not null,
  reference text not null check (length(reference) between 1 and 40),
  reason text not null check (length(reason) between 1 and 200),
  kinds text[] not null default '{}',
  state text not null default 'open' check (state in ('open', 'running', 'declined', 'closed', 'expired')),
  opened_at timestamptz not null,
  ends_at timestamptz not null check (ends_at > opened_at),
  ended_at timestamptz,
  account_id int,
  foreign key (zone_id, version) references zone_version
);
create index check_case_open on check_case (ends_at) where state in ('open', 'running');
create index check_case_zone on check_case (zone_id, id);
comment on table check_case is 'two-sided checks: a case reference to look for in a zone until a time';
comment on column check_case.id is 'number of the check';
comment on column check_case.zone_id is 'zone in which is looked';
comment on column check_case.version is 'version of the zone that was in force when it was opened';
comment on column check_case.side is 'side whose desk opened it';
comment on column check_case.sides is 'all sides of that version: who sees it and takes part';
comment on column check_case.reference is 'number of a case file; never a number of a person or vehicle';
comment on column check_case.reason is 'what is looked for and why; never a person';
comment on column check_case.kinds is 'kinds of events it is about; empty: none told';
comment on column check_case.state is 'open: nobody accepted yet; running; declined by all others; closed by its opener; expired at ends_at';
comment on column check_case.opened_at is 'when it was opened';
comment on column check_case.ends_at is 'moment its time is over, this moment excluded';
comment on column check_case.ended_at is 'when it was declined, closed or expired; null: it goes on';
comment on column check_case.account_id is 'account that opened it; null: the installation itself';

create table check_answer (
  id bigint generated always as identity primary key,
  check_id int not null references check_case on delete cascade,
  side text collate "C" not null,
  answer text not null check (answer in ('accept', 'decline', 'hit', 'no_hit', 'close')),
  reason text not null default '' check (length(reason) <= 200),
  checkpoint_id int references checkpoint on delete set null,
  checkpoint text,
  place text not null default '' check (length(place) <= 120),
  at timestamptz not null,
  account_id int,
  given_at timestamptz not null default now()
);
create index check_answer_check on check_answer (check_id, id);
create unique index check_answer_once on check_answer (check_id, side) where answer in ('accept', 'decline');
comment on table check_answer is 'what desks and checkpoints answered; rows are only added';
comment on column check_answer.id is 'number of the answer';
comment on column check_answer.check_id is 'check it answers';
comment on column check_answer.side is 'side that answered';
comment on column check_answer.answer is 'accept or decline by each side once; hit and no_hit from the ground; close by the opener';
comment on column check_answer.reason is 'why, in words of who answered';
comment on column check_answer.checkpoint_id is 'checkpoint it came from; null: a desk, or the checkpoint is gone';
comment on column check_answer.checkpoint is 'name of the checkpoint at that time';
comment on column check_answer.place is 'where, in words';
comment on column check_answer.at is 'when it happened, as reported';
comment on column check_answer.account_id is 'account that gave it; null: the installation itself';
comment on column check_answer.given_at is 'when it came in';

create table check_event (
  id bigint generated always as identity primary key,
  check_id int not null references check_case on delete cascade,
  n int not null check (n > 0),
  step text not null check (step in ('open', 'accept', 'decline', 'hit', 'no_hit', 'close', 'expire')),
  side text collate "C",
  before text,
  after text not null,
  account_id int,
  at timestamptz not null,
  unique (check_id, n)
);
comment on table check_event is 'every step of a check, in order; written by the database itself';
comment on column check_event.id is 'number of the step among all checks';
comment on column check_event.check_id is 'check it is a step of';
comment on column check_event.n is 'number of the step inside its check, from 1';
comment on column check_event.step is 'what was done';
comment on column check_event.side is 'who took the step; null: time';
comment on column check_event.before is 'state before; null: there was none';
comment on column check_event.after is 'state after it';
comment on column check_event.account_id is 'account that took it; null: time, or the installation itself';
comment on column check_event.at is 'when it was taken';

-- One function takes every step, so that none can be skipped, whoever asks.
create function check_step(id int, step text, side text, at timestamptz, account int, detail jsonb)
returns text language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
#variable_conflict use_variable
declare
  one check_case;
  said text;
  after text;
begin
  select c.* into one from check_case c where c.id = check_step.id for update;
  if not found then
    return null;
  end if;
  select a.answer into said from check_answer a
    where a.check_id = one.id and a.side = check_step.side and a.answer in ('accept', 'decline');
  if step = 'open' then
    if exists (select from check_event e where e.check_id = one.id) then
      raise exception 'it is open already' using errcode = 'check_violation';
    end if;
    after := 'open';
  elsif one.state not in ('open', 'running') then
    raise exception 'the check is over (%)', one.state using errcode = 'check_violation';
  elsif step = 'expire' then
    if at < one.ends_at then
      raise exception 'its time is not over' using errcode = 'check_violation';
    end if;
    after := 'expired';
  elsif at >= one.ends_at then
    raise exception 'the time of the check is over' using errcode = 'check_violation';
  elsif side is null or not side = any (one.sides) then
    raise exception 'this side takes no part' using errcode = 'check_violation';
  elsif step in ('accept', 'decline') then
    if said is not null then
      raise exception 'this side has answered already (%)', said using errcode = 'check_violation';
    end if;
    after := case
      when step = 'accept' then 'running'
      when one.state = 'open' and (select count(*) from check_answer a where a.check_id = one.id
             and a.answer = 'decline') = cardinality(one.sides) - 1 then 'declined'
      else one.state end;
  elsif step in ('hit', 'no_hit') then
    if said is distinct from 'accept' then
      raise exception 'this side has not accepted the check' using errcode = 'check_violation';
    end if;
    after := 'running';
  elsif step = 'close' then
    if side <> one.side then
      raise exception 'the side that opened the check closes it' using errcode = 'check_violation';
    end if;
    after := 'closed';
  else
    raise exception 'there is no step %', step using errcode = 'check_violation';
  end if;
  if step not in ('open', 'expire') then
    insert into check_answer (check_id, side, answer, reason, checkpoint_id, checkpoint, place, at, account_id)
    values (one.id, side, step, coalesce(detail ->> 'reason', ''), (detail ->> 'checkpoint_id')::int,
            detail ->> 'checkpoint', coalesce(detail ->> 'place', ''),
            coalesce((detail ->> 'at')::timestamptz, at), account);
  end if;
  insert into check_event (check_id, n, step, side, before, after, account_id, at)
  values (one.id, coalesce((select max(e.n) from check_event e where e.check_id = one.id), 0) + 1, step,
          case when step <> 'expire' then side end, case when step <> 'open' then one.state end, after, account, at);
  update check_case c set state = after, ended_at = case when after in ('declined', 'closed', 'expired') then at end
    where c.id = one.id;
  return after;
end
$$;
comment on function check_step is 'takes a step of a check, or refuses it; null: there is no such check';

create function check_opens() returns trigger language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
begin
  perform check_step(new.id, 'open', new.side, new.opened_at, new.account_id, '{}');
  return null;
end
$$;
comment on function check_opens is 'the first step of a check: there is none without it';
create trigger check_case_opens after insert on check_case for each row execute function check_opens();

create function check_guarded() returns trigger language plpgsql as $$
begin
  if old.state in ('declined', 'closed', 'expired') or (new.state = 'open' and old.state <> 'open')
     or (new.zone_id, new.side, new.sides, new.reference, new.reason, new.ends_at, new.opened_at)
        is distinct from (old.zone_id, old.side, old.sides, old.reference, old.reason, old.ends_at, old.opened_at) then
    raise exception 'a check goes forward only' using errcode = 'check_violation';
  end if;
  return new;
end
$$;
create trigger check_case_guarded before update on check_case for each row execute function check_guarded();

create function border_stays() returns trigger language plpgsql as $$
begin
  raise exception 'what happened is never changed' using errcode = 'insufficient_privilege';
end
$$;
comment on function border_stays is 'refuses changes of check_event, check_answer and zone_approval';
create trigger check_event_fixed before update on check_event for each statement execute function border_stays();
create trigger zone_approval_fixed before update on zone_approval for each statement execute function border_stays();

-- what happens now -------------------------------------------------------------------------------
create sequence live_event_number;
create table live_event (
  row bigint generated always as identity primary key,
  id bigint unique,
  at timestamptz not null default clock_timestamp(),
  topic text not null check (topic in ('run', 'zone', 'check', 'device', 'alert', 'task')),
  sides text[] check (array_position(sides, null) is null),
  payload jsonb not null default '{}'
);
create index live_event_at on live_event (at);
comment on table live_event is 'what is told to open pages at once; kept for some days';
comment on column live_event.row is 'number before the end of the transaction; nothing is read by it';
comment on column live_event.id is 'given at the end of the transaction, one after the other: whoever sees one sees all before it';
comment on column live_event.at is 'when its transaction ended';
comment on column live_event.topic is 'what it is about: decides which pages listen';
comment on column live_event.sides is 'code prefixes it belongs to; null: everybody';
comment on column live_event.payload is 'what changed, by number or code: pages ask for the rest';

-- At the very end of a transaction and one at a time: numbers are in the order of becoming visible, and a
-- long transaction holds nobody up before it ends.
create function number_live() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
declare
  given bigint;
begin
  perform pg_advisory_xact_lock(hashtext('wusetu live'));
  given := nextval('live_event_number');
  update live_event set id = given, at = clock_timestamp() where row = new.row;
  perform pg_notify('wusetu_live', given::text);
  return null;
end
$$;
comment on function number_live is 'numbers what happened and tells listeners of channel wusetu_live';
create constraint trigger live_event_numbered after insert on live_event deferrable initially deferred
  for each row execute function number_live();

create function run_is_live() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
begin
  insert into live_event (topic, payload) values ('run', jsonb_build_object('run', new.id, 'pack', new.pack));
  return null;
end
$$;
create trigger run_told after update of status on run
  for each row when (new.status = 'published' and old.status <> 'published') execute function run_is_live();

-- Steps and decisions are told and audited in the transaction in which they are taken.
create function border_audit(action text, account int, pack text, question jsonb) returns void
language sql security definer
set search_path = wusetu, pg_temp
as $$
  insert into audit_entry (action, account_id, account, role, prefixes, pack, purpose, question)
  select action, account, coalesce(a.name, ''), coalesce(a.role, ''), a.prefixes, pack,
         nullif(current_setting('wusetu.purpose', true), ''), question
  from (select) one left join account a on a.id = account
$$;

create function check_event_told() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
declare
  one record;
begin
  select c.zone_id, c.sides, c.reference, z.pack into one
    from check_case c join zone z on z.id = c.zone_id where c.id = new.check_id;
  perform border_audit('check.' || new.step, new.account_id, one.pack, jsonb_build_object(
    'check', new.check_id, 'zone', one.zone_id, 'reference', one.reference, 'n', new.n, 'side', new.side,
    'before', new.before, 'after', new.after));
  insert into live_event (topic, sides, payload) values ('check', one.sides, jsonb_build_object(
    'check', new.check_id, 'zone', one.zone_id, 'pack', one.pack, 'n', new.n, 'step', new.step,
    'side', new.side, 'state', new.after));
  return null;
end
$$;
create trigger check_event_told after insert on check_event for each row execute function check_event_told();

create function zone_told() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
declare
  place text;
begin
  if tg_op = 'UPDATE' and new.state = old.state then
    return null;
  end if;
  select z.pack into place from zone z where z.id = new.zone_id;
  perform border_audit('zone.' || case when tg_op = 'INSERT' then 'made' else new.state end,
    case when tg_op = 'INSERT' then new.made_by
         else nullif(current_setting('wusetu.account', true), '')::int end, place,
    jsonb_build_object('zone', new.zone_id, 'version', new.version, 'state', new.state, 'sides', new.sides,
                       'units', new.units));
  insert into live_event (topic, sides, payload) values ('zone',
    case when new.state = 'draft' then array[new.side] else new.sides end,
    jsonb_build_object('zone', new.zone_id, 'version', new.version, 'pack', place, 'state', new.state));
  return null;
end
$$;
create trigger zone_version_told after insert or update on zone_version for each row execute function zone_told();

create function zone_decided() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
declare
  one record;
begin
  select z.pack, v.sides into one from zone z join zone_version v on v.zone_id = z.id and v.version = new.version
    where z.id = new.zone_id;
  perform border_audit('zone.' || new.decision, new.account_id, one.pack, jsonb_build_object(
    'zone', new.zone_id, 'version', new.version, 'side', new.side, 'reason', new.reason));
  insert into live_event (topic, sides, payload) values ('zone', one.sides, jsonb_build_object(
    'zone', new.zone_id, 'version', new.version, 'pack', one.pack, 'side', new.side, 'decision', new.decision));
  return null;
end
$$;
create trigger zone_approval_told after insert on zone_approval for each row execute function zone_decided();

-- who sees and does what -------------------------------------------------------------------------
do $$
declare
  name text;
begin
  foreach name in array array['border_line', 'border_made', 'zone', 'zone_version', 'zone_approval', 'duty_desk',
                              'checkpoint', 'check_case', 'check_answer', 'check_event', 'live_event'] loop
    execute format('alter table %I enable row level security', name);
  end loop;
end
$$;
create policy border_line_read on border_line for select to wusetu_web using (holds_side(array[side_a, side_b]));
create policy zone_read on zone for select to wusetu_web
  using (holds_side(sides) or id = any ((select claimed_zones())::int[]));
create policy zone_version_read on zone_version for select to wusetu_web using (
  holds_side(array[side])
  or (state <> 'draft' and (holds_side(sides) or zone_id = any ((select claimed_zones())::int[]))));
create policy zone_approval_read on zone_approval for select to wusetu_web using (
  exists (select from zone_version v where v.zone_id = zone_approval.zone_id and v.version = zone_approval.version));
create policy duty_desk_read on duty_desk for select to wusetu_web
  using (may_see(code) or holds_side(array[side]) or shared_in_zone(pack, code));
create policy checkpoint_read on checkpoint for select to wusetu_web
  using (holds_side(array[side]) or point_in_zone(pack, side, geom));
create policy check_case_read on check_case for select to wusetu_web
  using (holds_side(sides) or zone_id = any ((select claimed_zones())::int[]));
create policy check_answer_read on check_answer for select to wusetu_web
  using (exists (select from check_case c where c.id = check_id));
create policy check_event_read on check_event for select to wusetu_web
  using (exists (select from check_case c where c.id = check_id));
create policy live_event_read on live_event for select to wusetu_web
  using (id is not null and (sides is null or holds_side(sides)));
create policy live_event_add on live_event for insert to wusetu_web
  with check (sides is not null and holds_side(sides));

create policy zone_add on zone for insert to wusetu_web with check (holds_side(array[side]) and sides = array[side]);
create policy zone_version_add on zone_version for insert to wusetu_web with check (
  holds_side(array[side]) and side = any (sides) and state in ('draft', 'proposed'));
create policy duty_desk_write on duty_desk to wusetu_web
  using (holds_side(array[side])) with check (holds_side(array[side]) and code ^@ side);
create policy checkpoint_write on checkpoint to wusetu_web
  using (holds_side(array[side])) with check (holds_side(array[side]));
create policy check_case_add on check_case for insert to wusetu_web with check (
  holds_side(array[side]) and side = any (sides) and state = 'open' and exists (
    select from zone_version v where v.zone_id = check_case.zone_id and v.version = check_case.version
      and v.state = 'live' and v.sides = check_case.sides and v.valid_from <= check_case.opened_at
      and (v.valid_to is null or v.valid_to > check_case.opened_at)));

grant select on border_line, zone, zone_version, zone_approval, duty_desk, checkpoint, check_case, check_answer,
  check_event to wusetu_web;
grant select (id, at, topic, sides, payload) on live_event to wusetu_web;
grant insert (topic, sides, payload) on live_event to wusetu_web;
grant insert (pack, name, side, sides) on zone to wusetu_web;
grant insert on zone_version, duty_desk, checkpoint to wusetu_web;
grant delete on duty_desk, checkpoint to wusetu_web;
grant insert (zone_id, version, side, sides, reference, reason, kinds, opened_at, ends_at, account_id)
  on check_case to wusetu_web;

-- Deciding changes rows of several sides at once: one function does it for the side that decides.
create function zone_decide(zone int, version int, side text, decision text, reason text, account int)
returns text language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
#variable_conflict use_variable
declare
  one zone_version;
begin
  perform 1 from zone z where z.id = zone_decide.zone for update;  -- one decision about a zone at a time
  select v.* into one from zone_version v where v.zone_id = zone and v.version = zone_decide.version for update;
  if not found or not holds_side(one.sides) or (one.state = 'draft' and not holds_side(array[one.side])) then
    return null;
  end if;
  if not (side = any (one.sides) and holds_side(array[side])) then
    raise exception 'this side has nothing to decide here' using errcode = 'check_violation';
  end if;
  if decision = 'propose' then
    if one.state <> 'draft' or side <> one.side then
      raise exception 'only a draft is proposed, by the side that made it (it is %)', one.state
        using errcode = 'check_violation';
    end if;
    update zone z set sides = array(select distinct s from unnest(z.sides || one.sides) s order by s)
      where z.id = zone;
    update zone_version v set state = 'proposed' where v.zone_id = zone and v.version = one.version;
    return 'proposed';
  end if;
  if decision not in ('approve', 'reject') then
    raise exception 'there is no decision %', decision using errcode = 'check_violation';
  end if;
  if one.state <> 'proposed' then
    raise exception 'only what is proposed is decided (it is %)', one.state using errcode = 'check_violation';
  end if;
  if decision = 'approve' and one.valid_to <= now() then
    raise exception 'its time is over' using errcode = 'check_violation';
  end if;
  if exists (select from zone_approval a where a.zone_id = zone and a.version = one.version and a.side = zone_decide.side) then
    raise exception 'this side has decided already' using errcode = 'check_violation';
  end if;
  insert into zone_approval (zone_id, version, side, decision, reason, account_id)
    values (zone, one.version, side, decision, reason, account);
  if decision = 'reject' then
    update zone_version v set state = 'rejected' where v.zone_id = zone and v.version = one.version;
    return 'rejected';
  end if;
  if (select count(*) from zone_approval a where a.zone_id = zone and a.version = one.version
        and a.decision = 'approve') < cardinality(one.sides) then
    return 'proposed';
  end if;
  -- the version in force ends when this one begins
  update zone_version v set valid_to = greatest(one.valid_from, now()),
      state = case when one.valid_from <= now() then 'expired' else v.state end
    where v.zone_id = zone and v.state = 'live' and v.valid_from < greatest(one.valid_from, now())
      and (v.valid_to is null or v.valid_to > greatest(one.valid_from, now()));
  update zone_version v set state = 'live' where v.zone_id = zone and v.version = one.version;
  return 'live';
end
$$;
comment on function zone_decide is 'one side proposes, approves or rejects a version; the state after it; null: there is none for who asks';
revoke execute on function check_step, zone_decide, border_audit from public;

-- The web takes steps for a side it holds, or reports from inside a zone it belongs to; never for time.
create function take_check_step(id int, step text, side text, account int, detail jsonb)
returns text language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
begin
  if not exists (select from check_case c where c.id = take_check_step.id
                 and (holds_side(c.sides) or c.zone_id = any (claimed_zones()))) then
    return null;
  end if;
  if not (holds_side(array[side]) or (step in ('hit', 'no_hit') and exists (
      select from unnest(claimed_prefixes()) mine where mine <> '' and mine ^@ side))) then
    raise exception 'this account does not speak for that side' using errcode = 'check_violation';
  end if;
  if step = 'expire' then
    raise exception 'only time ends a check so' using errcode = 'check_violation';
  end if;
  return check_step(id, step, side, clock_timestamp(), account, detail);
end
$$;
comment on function take_check_step is 'check_step for those who ask: a side of their own, now';
revoke execute on function take_check_step from public;
grant execute on function take_check_step, zone_decide to wusetu_web;

-- Time: checks and zones whose end has come, and old news.
create function border_time() returns int language plpgsql
set search_path = wusetu, public, pg_temp
as $$
declare
  one record;
  done int := 0;
begin
  if not pg_try_advisory_xact_lock(hashtext('wusetu border time')) then
    return 0;
  end if;
  for one in select c.id, c.ends_at from check_case c where c.state in ('open', 'running')
             and c.ends_at <= clock_timestamp() order by c.id loop
    perform check_step(one.id, 'expire', null, clock_timestamp(), null, '{}');
    done := done + 1;
  end loop;
  for one in select v.zone_id, v.version from zone_version v where v.state in ('live', 'proposed')
             and v.valid_to <= now() for update loop
    update zone_version v set state = 'expired' where v.zone_id = one.zone_id and v.version = one.version;
    done := done + 1;
  end loop;
  return done;
end
$$;
comment on function border_time is 'ends checks and zones whose time is over; how many; one at a time';
revoke execute on function border_time from public;

comment on function border_audit is 'writes what was done at the border into the audit, with the account as it is now';
comment on function check_event_told is 'trigger: a step of a check goes to the live stream of its sides';
comment on function check_guarded is 'trigger: a check goes forward only, and keeps what it was opened with';
comment on function run_is_live is 'trigger: a published run goes to the live stream';
comment on function zone_decided is 'trigger: a decision about a zone goes to the live stream of its sides';
comment on function zone_told is 'trigger: a new or changed version of a zone goes to the live stream of its sides';

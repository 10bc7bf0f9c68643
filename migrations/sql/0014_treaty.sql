-- Treaties, what crosses a province line by them, and what all sides see together.
--
-- A treaty says what may cross: H3 cells of one resolution, counts by kind and period and exposures, some
-- days late, nothing below a least count. A version is in force when every one of its sides has accepted it.
-- What the sides told each other, and what follows from it, is seen by these sides.

create table treaty (
  id int generated always as identity primary key,
  pack text not null check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  name text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  made_at timestamptz not null default now(),
  unique (name)
);
comment on table treaty is 'agreements about what crosses the lines between the sides of a map';
comment on column treaty.id is 'number of the treaty in this installation';
comment on column treaty.pack is 'map whose sides agree';
comment on column treaty.name is 'what the sides call it: the same in all their installations';
comment on column treaty.made_at is 'when its first version was proposed here';

create table treaty_version (
  treaty_id int not null references treaty on delete cascade,
  version int not null check (version > 0),
  side text collate "C" not null,
  sides text[] not null check (cardinality(sides) between 2 and 16 and array_position(sides, null) is null),
  resolution smallint not null check (resolution between 4 and 9),
  periods text[] not null check (cardinality(periods) > 0 and periods <@ array['month', 'quarter', 'year']),
  delay_days int not null check (delay_days between 0 and 3660),
  min_count int not null check (min_count between 2 and 1000),
  kinds jsonb not null check (jsonb_typeof(kinds) = 'object'),
  valid_from date not null,
  valid_to date check (valid_to > valid_from),
  note text not null default '' check (length(note) <= 500),
  digest text not null check (digest ~ '^[0-9a-f]{64}$'),
  made_by int,
  made_at timestamptz not null default now(),
  primary key (treaty_id, version),
  check (side = any (sides))
);
comment on table treaty_version is 'terms of a treaty; never changed, only followed by another version';
comment on column treaty_version.treaty_id is 'treaty it is a version of';
comment on column treaty_version.version is 'number of the version, from 1 without gaps';
comment on column treaty_version.side is 'side that proposed it';
comment on column treaty_version.sides is 'code prefixes of all sides, ascending: each has to accept';
comment on column treaty_version.resolution is 'H3 resolution of the cells that cross: nothing finer does';
comment on column treaty_version.periods is 'periods whose counts cross, each a table of its own';
comment on column treaty_version.delay_days is 'a period crosses so many days after its end';
comment on column treaty_version.min_count is 'no count from 1 to below this crosses: such cells are told as sums of several';
comment on column treaty_version.kinds is 'kinds whose counts cross: kind → exposure → weight, each kind''s adding up to 1';
comment on column treaty_version.valid_from is 'first local day it holds';
comment on column treaty_version.valid_to is 'first local day it holds no longer; null: until another version takes its place';
comment on column treaty_version.note is 'what the sides should know of it';
comment on column treaty_version.digest is 'sha256 of the terms as they are signed';
comment on column treaty_version.made_by is 'account that proposed it; null: taken in from another installation, or the command line';
comment on column treaty_version.made_at is 'when it was stored here';

create table treaty_decision (
  treaty_id int not null,
  version int not null,
  side text collate "C" not null,
  decision text not null check (decision in ('accept', 'reject')),
  reason text not null default '' check (length(reason) <= 500),
  account_id int,
  key_id text,
  signature text check (signature ~ '^[0-9a-f]{128}$'),
  at timestamptz not null default now(),
  primary key (treaty_id, version, side),
  foreign key (treaty_id, version) references treaty_version on delete cascade
);
comment on table treaty_decision is 'what each side decided about a version; once';
comment on column treaty_decision.treaty_id is 'treaty it is about';
comment on column treaty_decision.version is 'version it is about';
comment on column treaty_decision.side is 'side that decided';
comment on column treaty_decision.decision is 'what it decided';
comment on column treaty_decision.reason is 'why, in its words; never empty with a rejection';
comment on column treaty_decision.account_id is 'account that spoke for the side; null: taken in from another installation, or the command line';
comment on column treaty_decision.key_id is 'key the side signed it with; null: decided in this installation without a key';
comment on column treaty_decision.signature is 'Ed25519 over the terms and the decision, as another installation is told it';
comment on column treaty_decision.at is 'when it was stored here';

create table treaty_key (
  key_id text primary key check (key_id ~ '^[0-9a-f]{16}$'),
  side text collate "C" not null,
  public_key text not null check (public_key ~ '^[0-9a-f]{64}$'),
  own boolean not null,
  registered_at timestamptz not null default now(),
  retired_at timestamptz
);
create index treaty_key_side on treaty_key (side);
comment on table treaty_key is 'public keys of the sides; the private one of a side lies in its own installation''s data folder';
comment on column treaty_key.key_id is 'first 16 digits of the sha256 of the public key';
comment on column treaty_key.side is 'side that signs with it';
comment on column treaty_key.public_key is 'Ed25519 public key, 32 bytes in hexadecimal';
comment on column treaty_key.own is 'made here; false: of another installation, whose packages are taken in here';
comment on column treaty_key.registered_at is 'when it was made or taken in here';
comment on column treaty_key.retired_at is 'nothing signed with it is taken from then on';

create table treaty_package (
  id int generated always as identity primary key,
  treaty_id int not null,
  version int not null,
  side text collate "C" not null,
  sides text[] not null,
  direction text not null check (direction in ('out', 'in')),
  sequence int not null check (sequence > 0),
  nonce text not null unique check (nonce ~ '^[0-9a-f]{32}$'),
  key_id text not null references treaty_key,
  cutoff date not null,
  made_at timestamptz not null,
  stored_at timestamptz not null default now(),
  digest text not null check (digest ~ '^[0-9a-f]{64}$'),
  rows int not null,
  manifest text not null,
  data bytea not null,
  unique (treaty_id, side, sequence),
  foreign key (treaty_id, version) references treaty_version
);
comment on table treaty_package is 'what a side told: sent from here, or taken in; never changed';
comment on column treaty_package.id is 'number of the package in this installation';
comment on column treaty_package.treaty_id is 'treaty it was told under';
comment on column treaty_package.version is 'version of the treaty it was told under';
comment on column treaty_package.side is 'side that told it';
comment on column treaty_package.sides is 'sides of the treaty: who may read it';
comment on column treaty_package.direction is 'out: told from here; in: taken in here';
comment on column treaty_package.sequence is 'ascending per treaty and side: an older one is not taken after a newer one';
comment on column treaty_package.nonce is 'random: the same package is not taken twice';
comment on column treaty_package.key_id is 'key it is signed with';
comment on column treaty_package.cutoff is 'local day: everything told happened before it';
comment on column treaty_package.made_at is 'when its side made it, as the manifest says';
comment on column treaty_package.stored_at is 'when it was stored here';
comment on column treaty_package.digest is 'sha256 of the data';
comment on column treaty_package.rows is 'rows of its data';
comment on column treaty_package.manifest is 'signature, a line feed, and the manifest it signs, as it travels';
comment on column treaty_package.data is 'GeoParquet, as it travels';

create table pooled_run (
  id int generated always as identity primary key,
  pack text not null,
  treaty_id int not null,
  version int not null,
  sides text[] not null,
  names jsonb not null,
  period text not null check (period in ('month', 'quarter', 'year')),
  start date not null,
  stop date not null check (stop > start),
  cutoff date not null,
  resolution smallint not null,
  delay_days int not null,
  min_count int not null,
  alpha double precision not null check (alpha > 0 and alpha < 1),
  max_share double precision not null,
  max_radius double precision not null,
  replicates int not null,
  seed bigint not null,
  factor jsonb not null,
  totals jsonb not null,
  sources jsonb not null,
  simulated boolean not null,
  digest text not null,
  made_at timestamptz not null default now(),
  foreign key (treaty_id, version) references treaty_version
);
create index pooled_run_pack on pooled_run (pack, period, start, id);
comment on table pooled_run is 'one period of a map as all sides of a treaty see it together; never changed';
comment on column pooled_run.id is 'number of the run in this installation';
comment on column pooled_run.pack is 'map it is about';
comment on column pooled_run.treaty_id is 'treaty its numbers were told under';
comment on column pooled_run.version is 'version of the treaty at that time';
comment on column pooled_run.sides is 'sides that told this period';
comment on column pooled_run.names is 'side → name';
comment on column pooled_run.period is 'type of period';
comment on column pooled_run.start is 'first local day of the period';
comment on column pooled_run.stop is 'first day after the period';
comment on column pooled_run.cutoff is 'local day: every side told everything it knew before it';
comment on column pooled_run.resolution is 'H3 resolution of its cells';
comment on column pooled_run.delay_days is 'of the treaty at that time, days';
comment on column pooled_run.min_count is 'of the treaty at that time, events';
comment on column pooled_run.alpha is 'false alarms of the pooled scan of one kind, and of all sides alone together';
comment on column pooled_run.max_share is 'most of the expected events a circle of the scan holds, a part of 1';
comment on column pooled_run.max_radius is 'greatest circle of the scan, metres';
comment on column pooled_run.replicates is 'Monte Carlo replicates behind each p';
comment on column pooled_run.seed is 'start of the random numbers: the same seed gives the same p';
comment on column pooled_run.factor is 'kind → side → reporting rate against all';
comment on column pooled_run.totals is 'kind → side → events told';
comment on column pooled_run.sources is 'side → where its numbers came from: digest, and package or own events';
comment on column pooled_run.simulated is 'some of the events are made up';
comment on column pooled_run.digest is 'sha256 of everything found: the same in every installation with the same numbers';
comment on column pooled_run.made_at is 'when it was stored';

create table pooled_cluster (
  run_id int not null references pooled_run on delete cascade,
  number int not null check (number > 0),
  kind text not null,
  seen text not null check (seen in ('one', 'several', 'together')),
  pooled boolean not null,
  p double precision not null,
  llr double precision not null,
  observed int not null,
  expected double precision not null,
  low double precision not null,
  high double precision not null,
  radius_m double precision not null,
  cells bigint[] not null check (cardinality(cells) > 0),
  sides jsonb not null,
  centre geometry(Point, 4326) not null,
  geom geometry(MultiPolygon, 4326) not null,
  primary key (run_id, number)
);
comment on table pooled_cluster is 'clusters of a pooled run and who sees them';
comment on column pooled_cluster.run_id is 'run that found it';
comment on column pooled_cluster.number is 'number inside the run, from 1';
comment on column pooled_cluster.kind is 'kind of events';
comment on column pooled_cluster.seen is 'by one side alone, by several, or only by all together';
comment on column pooled_cluster.pooled is 'found by the pooled scan; false: only by a side itself';
comment on column pooled_cluster.p is 'Monte Carlo p-value of the scan that found it';
comment on column pooled_cluster.llr is 'log-likelihood ratio of its circle';
comment on column pooled_cluster.observed is 'events in its cells, of all sides that told';
comment on column pooled_cluster.expected is 'expected events in its cells';
comment on column pooled_cluster.low is 'lower end of the exact 95 % interval of observed / expected';
comment on column pooled_cluster.high is 'its upper end';
comment on column pooled_cluster.radius_m is 'radius of its circle with the edge of its cells, metres';
comment on column pooled_cluster.cells is 'H3 indices';
comment on column pooled_cluster.sides is 'per side: observed, expected, interval, p of its part when it looks alone';
comment on column pooled_cluster.centre is 'centre of its circle, EPSG:4326';
comment on column pooled_cluster.geom is 'union of the cells';

create table pooled_cell (
  run_id int not null references pooled_run on delete cascade,
  cell bigint not null,
  sides text[] not null,
  colours jsonb not null,
  clusters int[] not null,
  geom geometry(Polygon, 4326) not null,
  primary key (run_id, cell)
);
create index pooled_cell_geom on pooled_cell using gist (geom);
comment on table pooled_cell is 'cells of a pooled run near a shared line or in a cluster, for the map';
comment on column pooled_cell.run_id is 'run it is a cell of';
comment on column pooled_cell.cell is 'H3 index';
comment on column pooled_cell.sides is 'sides that have a part of it';
comment on column pooled_cell.colours is 'kind → class 0 to 5 of METHODS 4 from the numbers told; overall: the highest of them';
comment on column pooled_cell.clusters is 'numbers of the clusters it is in';
comment on column pooled_cell.geom is 'outline of the cell, EPSG:4326';

create function pooled_stays() returns trigger language plpgsql as $$
begin
  raise exception '% is never changed', tg_table_name using errcode = 'integrity_constraint_violation';
end
$$;
create trigger treaty_version_fixed before update on treaty_version for each statement execute function pooled_stays();
create trigger treaty_decision_fixed before update on treaty_decision for each statement execute function pooled_stays();
create trigger treaty_package_fixed before update on treaty_package for each statement execute function pooled_stays();
create trigger pooled_run_fixed before update on pooled_run for each statement execute function pooled_stays();
create trigger pooled_cluster_fixed before update on pooled_cluster for each statement execute function pooled_stays();
create trigger pooled_cell_fixed before update on pooled_cell for each statement execute function pooled_stays();

create view treaty_state with (security_invoker = true) as
  select v.treaty_id, v.version,
    case when exists (select from treaty_decision d where d.treaty_id = v.treaty_id and d.version = v.version
                      and d.decision = 'reject') then 'rejected'
         when (select count(*) from treaty_decision d where d.treaty_id = v.treaty_id and d.version = v.version
               and d.decision = 'accept') < cardinality(v.sides) then 'proposed'
         else 'accepted' end as state
  from treaty_version v;
comment on view treaty_state is 'proposed until every side accepted, accepted, or rejected by one';
comment on column treaty_state.treaty_id is 'treaty_version.treaty_id';
comment on column treaty_state.version is 'treaty_version.version';
comment on column treaty_state.state is 'proposed, accepted or rejected; whether its time is now says treaty_in_force';

-- The newest accepted version whose time it is; each treaty has at most one.
create function treaty_in_force(wanted_pack text, day date)
returns table (treaty_id int, version int) language sql stable security invoker as $$
  select distinct on (v.treaty_id) v.treaty_id, v.version
  from treaty t join treaty_version v on v.treaty_id = t.id
  join treaty_state s on s.treaty_id = v.treaty_id and s.version = v.version and s.state = 'accepted'
  where t.pack = wanted_pack and v.valid_from <= day and (v.valid_to is null or v.valid_to > day)
  order by v.treaty_id, v.version desc
$$;
comment on function treaty_in_force is 'versions of a map''s treaties that hold on a day';

create function treaty_told() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
declare
  one record;
begin
  select t.pack, t.name, v.sides, v.digest into one from treaty t
    join treaty_version v on v.treaty_id = t.id and v.version = new.version where t.id = new.treaty_id;
  if tg_table_name = 'treaty_version' then
    perform border_audit('treaty.propose', new.made_by, one.pack, jsonb_build_object(
      'treaty', one.name, 'version', new.version, 'side', new.side, 'sides', one.sides, 'digest', one.digest));
  elsif tg_table_name = 'treaty_decision' then
    perform border_audit('treaty.' || new.decision, new.account_id, one.pack, jsonb_build_object(
      'treaty', one.name, 'version', new.version, 'side', new.side, 'reason', new.reason, 'digest', one.digest));
  else
    perform border_audit('treaty.' || new.direction, null, one.pack, jsonb_build_object(
      'treaty', one.name, 'version', new.version, 'side', new.side, 'sequence', new.sequence,
      'digest', new.digest, 'rows', new.rows));
  end if;
  return null;
end
$$;
create trigger treaty_version_told after insert on treaty_version for each row execute function treaty_told();
create trigger treaty_decision_told after insert on treaty_decision for each row execute function treaty_told();
create trigger treaty_package_told after insert on treaty_package for each row execute function treaty_told();

do $$
declare
  name text;
begin
  foreach name in array array['treaty', 'treaty_version', 'treaty_decision', 'treaty_key', 'treaty_package',
                              'pooled_run', 'pooled_cluster', 'pooled_cell'] loop
    execute format('alter table %I enable row level security', name);
  end loop;
end
$$;
create policy treaty_version_read on treaty_version for select to wusetu_web using (holds_side(sides));
create policy treaty_read on treaty for select to wusetu_web
  using (exists (select from treaty_version v where v.treaty_id = id));
create policy treaty_decision_read on treaty_decision for select to wusetu_web using (
  exists (select from treaty_version v where v.treaty_id = treaty_decision.treaty_id and v.version = treaty_decision.version));
create policy treaty_key_read on treaty_key for select to wusetu_web using (
  exists (select from treaty_version v where treaty_key.side = any (v.sides)));
create policy treaty_package_read on treaty_package for select to wusetu_web using (holds_side(sides));
create policy pooled_run_read on pooled_run for select to wusetu_web using (holds_side(sides));
create policy pooled_cluster_read on pooled_cluster for select to wusetu_web
  using (exists (select from pooled_run r where r.id = run_id));
create policy pooled_cell_read on pooled_cell for select to wusetu_web
  using (exists (select from pooled_run r where r.id = run_id));
grant select on treaty, treaty_version, treaty_decision, treaty_key, treaty_package, treaty_state, pooled_run,
  pooled_cluster, pooled_cell to wusetu_web;

-- A side proposes or decides; rows of the treaty itself are written by these alone.
create function treaty_propose(wanted_pack text, wanted_name text, wanted_side text, terms jsonb, terms_digest text,
                               account int, wanted_version int default null)
returns int language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
declare
  number int;
  last int;
  place text;
begin
  if not holds_side(array[wanted_side]) then
    raise exception 'this account does not speak for that side' using errcode = 'check_violation';
  end if;
  perform pg_advisory_xact_lock(hashtext('wusetu treaty'));
  select id, pack into number, place from treaty where name = wanted_name;
  if found and place <> wanted_pack then
    raise exception 'another map has a treaty of this name' using errcode = 'check_violation';
  end if;
  if found and not exists (select from treaty_version v where v.treaty_id = number and holds_side(v.sides)) then
    raise exception 'another treaty has this name' using errcode = 'check_violation';
  end if;
  if not found then
    insert into treaty (pack, name) values (wanted_pack, wanted_name) returning id into number;
  end if;
  -- some of the sides alone would otherwise replace what all agreed
  if exists (select from treaty_version v where v.treaty_id = number
             and not (v.sides @> array(select jsonb_array_elements_text(terms -> 'sides'))
                      and v.sides <@ array(select jsonb_array_elements_text(terms -> 'sides')))) then
    raise exception 'the sides of a treaty stay the same: between others it has another name'
      using errcode = 'check_violation';
  end if;
  select coalesce(max(version), 0) into last from treaty_version where treaty_id = number;
  if wanted_version is not null and wanted_version <> last + 1 then
    raise exception 'the next version of this treaty is %, not %', last + 1, wanted_version
      using errcode = 'check_violation';
  end if;
  insert into treaty_version (treaty_id, version, side, sides, resolution, periods, delay_days, min_count, kinds,
                              valid_from, valid_to, note, digest, made_by)
  values (number, last + 1, wanted_side, array(select jsonb_array_elements_text(terms -> 'sides')),
          (terms ->> 'resolution')::int, array(select jsonb_array_elements_text(terms -> 'periods')),
          (terms ->> 'delay_days')::int, (terms ->> 'min_count')::int, terms -> 'kinds',
          (terms ->> 'valid_from')::date, (terms ->> 'valid_to')::date, coalesce(terms ->> 'note', ''),
          terms_digest, account);
  return last + 1;
end
$$;
comment on function treaty_propose is 'adds a version for a side of the asker''s; its number';

create function treaty_decide(wanted_name text, wanted_version int, wanted_side text, decision text, reason text,
                              account int, key_id text default null, signature text default null)
returns text language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
#variable_conflict use_variable
declare
  one record;
begin
  perform pg_advisory_xact_lock(hashtext('wusetu treaty'));
  select v.treaty_id, v.version, v.sides, v.valid_to, s.state into one from treaty t
    join treaty_version v on v.treaty_id = t.id and v.version = wanted_version
    join treaty_state s on s.treaty_id = v.treaty_id and s.version = v.version where t.name = wanted_name;
  if not found or not holds_side(one.sides) then
    return null;
  end if;
  if not (wanted_side = any (one.sides) and holds_side(array[wanted_side])) then
    raise exception 'this side has nothing to decide here' using errcode = 'check_violation';
  end if;
  if signature is null and exists (select from treaty_key k where k.side = wanted_side and not k.own) then
    raise exception 'this side decides in an installation of its own' using errcode = 'check_violation';
  end if;
  if exists (select from treaty_decision d where d.treaty_id = one.treaty_id and d.version = one.version
             and d.side = wanted_side) then
    raise exception 'this side has decided already' using errcode = 'check_violation';
  end if;
  if one.state = 'rejected' then
    raise exception 'another side has rejected this version' using errcode = 'check_violation';
  end if;
  if decision = 'accept' and one.valid_to <= current_date then
    raise exception 'its time is over' using errcode = 'check_violation';
  end if;
  insert into treaty_decision (treaty_id, version, side, decision, reason, account_id, key_id, signature)
    values (one.treaty_id, one.version, wanted_side, decision, reason, account, key_id, signature);
  return (select s.state from treaty_state s where s.treaty_id = one.treaty_id and s.version = one.version);
end
$$;
comment on function treaty_decide is 'one side accepts or rejects a version; its state after that; null: there is none for who asks';
revoke execute on function treaty_propose, treaty_decide from public;
grant execute on function treaty_propose, treaty_decide to wusetu_web;

comment on function pooled_stays is 'trigger: rows of treaties, packages and pooled runs are never changed';
comment on function treaty_told is 'trigger: a new version of a treaty goes to the live stream of its sides';

-- Spine of the store of record. Every table and column says what it holds.
create extension if not exists postgis schema public;
create extension if not exists pg_trgm schema public;

-- codes and boundaries ---------------------------------------------------------------------------
create table code_layout (
  name text primary key,
  segments jsonb not null
);
comment on table code_layout is 'how a code is cut into segments; a layout is data, its name carries the version';
comment on column code_layout.name is 'for example unified-27';
comment on column code_layout.segments is 'list of {level, length} from coarse to fine; level null: a segment that is no level of its own';

create table boundary_version (
  id int generated always as identity primary key,
  pack text not null check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  label text not null,
  title_zh text not null,
  title_en text not null,
  layout text references code_layout (name),
  levels text[] not null check (cardinality(levels) > 0),
  approximate boolean not null default false,
  source text not null default '',
  licence text not null default '',
  valid_from date not null,
  valid_to date,
  digest text not null,
  report jsonb not null,
  created_at timestamptz not null default now(),
  unique (pack, label),
  check (valid_to is null or valid_to > valid_from)
);
comment on table boundary_version is 'one dated set of units that tile the ground; immutable once imported';
comment on column boundary_version.id is 'number of the version, given at its import';
comment on column boundary_version.pack is 'name of the series of versions (hangzhou, alliance, vancouver)';
comment on column boundary_version.label is 'name of this version inside its pack';
comment on column boundary_version.title_zh is 'its name for people, Chinese';
comment on column boundary_version.title_en is 'its name for people, English';
comment on column boundary_version.layout is 'how its codes are cut; null: a map whose codes have no layout';
comment on column boundary_version.levels is 'levels present, coarse to fine; a level may be missing';
comment on column boundary_version.approximate is 'true when any shape is not surveyed; shown on every map';
comment on column boundary_version.source is 'where its shapes come from, as told at the import';
comment on column boundary_version.licence is 'terms its shapes are used under';
comment on column boundary_version.valid_from is 'first day of validity';
comment on column boundary_version.valid_to is 'day after the last day of validity; null: still valid';
comment on column boundary_version.digest is 'sha256 of the units as stored: the same file twice is one version';
comment on column boundary_version.report is 'what the import found and repaired';
comment on column boundary_version.created_at is 'when it was imported';

create table unit (
  boundary_version_id int not null references boundary_version on delete cascade,
  id int not null,
  code text collate "C" not null,
  level text not null,
  name text not null,
  name_en text,
  parent_id int,
  approximate boolean not null default false,
  area_km2 double precision not null,
  label_point geometry(Point, 4326) not null,
  geom geometry(MultiPolygon, 4326) not null,
  primary key (boundary_version_id, id),
  unique (boundary_version_id, code),
  foreign key (boundary_version_id, parent_id) references unit (boundary_version_id, id) deferrable initially deferred
);
create index unit_geom on unit using gist (geom);
create index unit_parent on unit (boundary_version_id, parent_id);
create index unit_level on unit (boundary_version_id, level, id);
create index unit_name_trgm on unit using gin (name gin_trgm_ops);
comment on table unit is 'governance units of every level';
comment on column unit.boundary_version_id is 'version it is a unit of';
comment on column unit.id is 'small number inside its version, counted level by level (coarse first) in code order, from 1: MVT feature id; a code prefix is one contiguous range per level';
comment on column unit.code is 'canonical code: the layout prefix, zero fill removed';
comment on column unit.level is 'one of boundary_version.levels';
comment on column unit.name is 'its name as the file had it';
comment on column unit.name_en is 'its English name; null: none was given';
comment on column unit.parent_id is 'next coarser unit present; null at the top';
comment on column unit.approximate is 'true when its shape is not surveyed';
comment on column unit.area_km2 is 'geodesic area on WGS84, square kilometres';
comment on column unit.label_point is 'point inside the shape where its name is set, EPSG:4326, longitude latitude';
comment on column unit.geom is 'EPSG:4326, longitude latitude';

create table succession (
  pack text not null,
  from_code text collate "C" not null,
  to_code text collate "C" not null,
  share double precision not null check (share > 0 and share <= 1),
  effective date not null,
  source text not null default '',
  primary key (pack, from_code, to_code, effective)
);
comment on table succession is 'where a unit that ended went to: share of its exposure and history';
comment on column succession.pack is 'series of versions both codes belong to';
comment on column succession.from_code is 'canonical code of the unit that ended';
comment on column succession.to_code is 'canonical code of the unit that took over';
comment on column succession.share is 'part of from_code that to_code took over, (0, 1]; the shares of one from_code add up to 1';
comment on column succession.effective is 'first day of the successor';
comment on column succession.source is 'where this is known from, as told at the import';

-- exposures --------------------------------------------------------------------------------------
create table exposure (
  pack text not null,
  code text collate "C" not null,
  measure text not null check (measure ~ '^[a-z][a-z0-9_]{0,39}$'),
  as_of date not null,
  value double precision not null check (value >= 0 and value < 'infinity'::double precision),
  source text not null default '',
  primary key (pack, code, measure, as_of)
);
comment on table exposure is 'what can be hit: residents, floating population, firms, dwellings, any further measure';
comment on column exposure.pack is 'series of versions the code belongs to';
comment on column exposure.code is 'canonical code of a unit of any level';
comment on column exposure.measure is 'resident floating firms dwellings …; area_km2 is computed from the unit and never stored';
comment on column exposure.as_of is 'day the value describes; the newest not after the run is used';
comment on column exposure.value is 'amount, in the measure''s own unit (persons, firms, dwellings …); never negative';
comment on column exposure.source is 'where it comes from, as told at the import';

-- events -----------------------------------------------------------------------------------------
create table event_source (
  id int generated always as identity primary key,
  pack text not null,
  name text not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
  simulated boolean not null default false,
  crs text not null,
  time_zone text not null,
  mapping jsonb not null,
  created_at timestamptz not null default now(),
  unique (pack, name)
);
comment on table event_source is 'a feed of events with what it declares about itself';
comment on column event_source.id is 'number of the source';
comment on column event_source.pack is 'map its events lie on';
comment on column event_source.name is 'its name inside the map; of a feed the feed''s name';
comment on column event_source.simulated is 'true for made events; shown on every map';
comment on column event_source.crs is 'declared CRS of its points: wgs84 cgcs2000 gcj02 bd09 or EPSG:n';
comment on column event_source.time_zone is 'zone of its times that have no offset, IANA name';
comment on column event_source.mapping is 'which of its columns is what, as it was last imported with';
comment on column event_source.created_at is 'when something of it was first imported';

create table event (
  id bigint generated always as identity primary key,
  source_id int not null references event_source,
  reference text collate "C" not null,
  kind text not null,
  occurred_at timestamptz not null,
  located_by text not null check (located_by in ('code', 'point', 'address', 'none')),
  mismatch boolean not null default false,
  boundary_version_id int, -- no key of its own: the one with unit_id covers it, and a second costs a fifth of an import
  unit_id int,
  code text collate "C",
  address text,
  geom geometry(Point, 4326),
  imported_at timestamptz not null default now(),
  unique (source_id, reference),
  foreign key (boundary_version_id, unit_id) references unit (boundary_version_id, id)
);
-- No index on the time: nothing looks events up by it, and it cost a third of a COPY into this table.
comment on table event is 'incidents; an event is a place, a time and a kind, never a person';
comment on column event.id is 'number given at the import';
comment on column event.source_id is 'source it came from (checked by trigger event_keys)';
comment on column event.reference is 'identifier inside its source; source + reference make re-sending harmless';
comment on column event.kind is 'kind of the scene, as the mapping read it';
comment on column event.occurred_at is 'moment it happened; without an offset read in the zone of its source';
comment on column event.located_by is 'what decided the unit: code beats point beats address';
comment on column event.mismatch is 'code and point are both given and disagree at the finest level both know';
comment on column event.boundary_version_id is 'version its unit is of; null with located_by none';
comment on column event.unit_id is 'finest unit known; may be of any level; null with located_by none';
comment on column event.code is 'declared unified code, canonical, down to the room if given';
comment on column event.address is 'address as given, of a place; null: none';
comment on column event.geom is 'EPSG:4326 point after conversion from the declared CRS; null when unknown';
comment on column event.imported_at is 'when it was first stored';

-- scenes and runs --------------------------------------------------------------------------------
create table run (
  id int generated always as identity primary key,
  pack text not null,
  boundary_version_id int not null references boundary_version,
  scene text not null,
  scene_body jsonb not null,
  status text not null check (status in ('running', 'published', 'failed')),
  time_zone text not null,
  kinds text[] not null,
  measures text[] not null,
  event_count bigint not null default 0,
  located jsonb not null default '{}',
  simulated boolean not null default false,
  data_cutoff timestamptz,
  message text,
  started_at timestamptz not null default now(),
  published_at timestamptz
);
create index run_published on run (pack, id desc) where status = 'published';
comment on table run is 'an immutable assessment of all levels, kinds and periods; its id is the data version everywhere';
comment on column run.id is 'number of the run: the data version in every address';
comment on column run.pack is 'map it assesses';
comment on column run.boundary_version_id is 'version its units are of';
comment on column run.scene is 'name of the scene';
comment on column run.scene_body is 'the scene as it was';
comment on column run.status is 'running until all of it is stored; only published runs are shown; failed ones keep their message';
comment on column run.time_zone is 'its months, quarters and years are local ones of this zone, IANA name';
comment on column run.kinds is 'kinds in scene order; the kind overall is not in the list';
comment on column run.measures is 'exposure measures, order of run_unit.exposures';
comment on column run.event_count is 'events it counted, on the whole map';
comment on column run.located is 'events by located_by and by the level of their unit, and the mismatch count';
comment on column run.simulated is 'true when any of the events is made up; shown on every map';
comment on column run.data_cutoff is 'newest event used';
comment on column run.message is 'why it failed; null: it did not';
comment on column run.started_at is 'when it began';
comment on column run.published_at is 'when all of it became visible at once; null: not yet';

create table run_period (
  run_id int not null references run on delete cascade,
  period text not null check (period in ('month', 'quarter', 'year')),
  ord smallint not null,
  start date not null,
  complete boolean not null,
  primary key (run_id, period, ord),
  unique (run_id, period, start)
);
comment on table run_period is 'periods of a run; ord from 0 is the index (from 0) into the arrays of assessment and run_rate';
comment on column run_period.run_id is 'run it is a period of';
comment on column run_period.period is 'type of period';
comment on column run_period.ord is 'number of the period, from 0, oldest first';
comment on column run_period.start is 'first local day';
comment on column run_period.complete is 'false when events stop before the period does or start after it';

create table run_unit (
  run_id int not null references run on delete cascade,
  unit_id int not null,
  code text collate "C" not null,
  exposures double precision[] not null,
  shares double precision[] not null,
  complexity double precision,
  primary key (run_id, unit_id)
);
comment on table run_unit is 'what each unit was exposed to in this run';
comment on column run_unit.run_id is 'run it is about';
comment on column run_unit.unit_id is 'unit of the run''s boundary version';
comment on column run_unit.code is 'its code: decides who sees the row';
comment on column run_unit.exposures is 'one value per run.measures; null: missing';
comment on column run_unit.shares is 'C, one per run.kinds: share of the exposure of its reference area; null: no data';
comment on column run_unit.complexity is '100 = an average unit of its level and reference area; null: no data';

create table run_rate (
  run_id int not null references run on delete cascade,
  level text not null,
  reference_id int not null,
  kind text not null,
  period text not null,
  rate double precision[] not null,
  alpha double precision[] not null,
  dispersion double precision[] not null,
  primary key (run_id, level, reference_id, kind, period)
);
comment on table run_rate is 'per reference area, level, kind and period: what the filter fitted';
comment on column run_rate.run_id is 'run it was fitted in';
comment on column run_rate.level is 'level of the units it was fitted over';
comment on column run_rate.reference_id is 'unit id of the reference area (a city), 0 when the whole map is the reference';
comment on column run_rate.kind is 'kind, or overall';
comment on column run_rate.period is 'type of period: each has a filter of its own';
comment on column run_rate.rate is 'r_t: events per unit of exposure share; E = C r (kind overall: null array of nan)';
comment on column run_rate.alpha is 'strength of the prior per period';
comment on column run_rate.dispersion is 'phi of adjacent periods, nan for the first';

create table assessment (
  run_id int not null references run on delete cascade,
  unit_id int not null,
  kind text not null,
  period text not null,
  code text collate "C" not null,
  observed int[] not null,
  expected double precision[] not null,
  memory_s double precision[] not null,
  memory_x double precision[] not null,
  memory_k double precision[] not null,
  colour smallint[] not null,
  flags smallint[] not null,
  primary key (run_id, unit_id, kind, period)
);
comment on table assessment is 'the unpacked result: one row per unit, kind and period type, arrays over run_period.ord';
comment on column assessment.run_id is 'run it is a result of';
comment on column assessment.unit_id is 'unit of the run''s boundary version';
comment on column assessment.kind is 'kind, or overall';
comment on column assessment.period is 'type of period: month, quarter, year';
comment on column assessment.code is 'code of the unit: decides who sees the row';
comment on column assessment.observed is 'O; kind overall: plain sum over kinds';
comment on column assessment.expected is 'E; kind overall: plain sum over kinds; nan = no data';
comment on column assessment.memory_s is 'S of METHODS 3, this period included; relative risk = (alpha + S) / (alpha + X)';
comment on column assessment.memory_x is 'X of METHODS 3';
comment on column assessment.memory_k is 'k applied to the memory before this period was added (0: no history or dropped)';
comment on column assessment.colour is '0 no data, 1 green, 2 blue, 3 yellow, 4 orange, 5 red';
comment on column assessment.flags is 'bits: 1 history dropped, 2 check exposure or duplicates, 4 outweighs its reference area, 8 raised by veto, 16 history too short for a prior';

create table packed_values (
  run_id int not null references run on delete cascade,
  level text not null,
  kind text not null,
  period text not null,
  ord smallint not null,
  county_code text collate "C" not null,
  first_id int not null,
  n int not null,
  payload bytea not null,
  primary key (run_id, level, kind, period, ord, county_code)
);
comment on table packed_values is 'what the map needs to colour itself, cut by county so that row security decides whole rows';
comment on column packed_values.run_id is 'run it is a result of';
comment on column packed_values.level is 'level of the units';
comment on column packed_values.kind is 'kind, or overall';
comment on column packed_values.period is 'type of period: month, quarter, year';
comment on column packed_values.ord is 'run_period.ord';
comment on column packed_values.county_code is 'county of the units (or the unit''s own code above county level; empty when the map has no counties)';
comment on column packed_values.first_id is 'unit id of the first byte; ids are contiguous';
comment on column packed_values.n is 'number of units, one after the other';
comment on column packed_values.payload is 'n bytes colour (0..5), then n bytes relative risk: 0 no data, else 128 + 16 log2(theta) rounded and kept in 1..255';

-- tiles ------------------------------------------------------------------------------------------
create table tile_geometry (
  boundary_version_id int not null references boundary_version on delete cascade,
  level text not null,
  zoom smallint not null,
  unit_id int not null,
  geom geometry(MultiPolygon, 3857) not null,
  primary key (boundary_version_id, level, zoom, unit_id)
);
create index tile_geometry_geom on tile_geometry using gist (geom);
comment on table tile_geometry is 'unit shapes simplified together for one zoom: neighbours still share their edges';
comment on column tile_geometry.boundary_version_id is 'version the unit is of';
comment on column tile_geometry.level is 'level of the unit';
comment on column tile_geometry.zoom is 'zoom it is drawn at, as in Web Mercator tiles';
comment on column tile_geometry.unit_id is 'unit it is the shape of';
comment on column tile_geometry.geom is 'shape simplified for the zoom, EPSG:3857, metres';

create table tile_archive (
  boundary_version_id int not null references boundary_version on delete cascade,
  level text not null,
  digest text not null,
  min_zoom smallint not null,
  max_zoom smallint not null,
  bounds double precision[] not null,
  bytes bigint not null,
  tiles int not null,
  created_at timestamptz not null default now(),
  primary key (boundary_version_id, level)
);
comment on table tile_archive is 'PMTiles files made of a version: <data folder>/archives/<digest>.pmtiles';
comment on column tile_archive.boundary_version_id is 'version it is made of';
comment on column tile_archive.level is 'level of its units; context: the surroundings';
comment on column tile_archive.digest is 'sha256 of the file: part of its immutable address';
comment on column tile_archive.min_zoom is 'coarsest zoom in it';
comment on column tile_archive.max_zoom is 'finest zoom in it; beyond, clients enlarge its tiles';
comment on column tile_archive.bounds is 'west south east north, EPSG:4326';
comment on column tile_archive.bytes is 'size of the file';
comment on column tile_archive.tiles is 'tiles that are not empty';
comment on column tile_archive.created_at is 'when it was made';

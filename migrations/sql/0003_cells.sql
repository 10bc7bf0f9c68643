-- Assessed H3 cells of a run.
create table cell_grid (
  boundary_version_id int not null references boundary_version on delete cascade,
  res smallint not null check (res between 0 and 15),
  digest text not null,
  cells int not null,
  primary key (boundary_version_id, res)
);
create index cell_grid_digest on cell_grid (digest);
comment on table cell_grid is 'the H3 cells of a boundary version at one resolution: every cell that shares area with a unit; made once, never changed';
comment on column cell_grid.boundary_version_id is 'version whose ground it covers';
comment on column cell_grid.res is 'H3 resolution';
comment on column cell_grid.digest is 'sha256 of the cells and the units that own them: part of the address of their tiles';
comment on column cell_grid.cells is 'number of cells';

create table cell_grid_part (
  boundary_version_id int not null,
  res smallint not null,
  chunk bigint not null,
  first int not null,
  n int not null,
  cells bytea not null,
  owner bytea not null,
  start bytea not null,
  unit bytea not null,
  weight bytea not null,
  km2 bytea not null,
  primary key (boundary_version_id, res, chunk),
  foreign key (boundary_version_id, res) references cell_grid on delete cascade
);
comment on table cell_grid_part is 'the cells of a grid in chunks, all arrays little-endian';
comment on column cell_grid_part.boundary_version_id is 'version of the grid';
comment on column cell_grid_part.res is 'H3 resolution of the grid';
comment on column cell_grid_part.chunk is 'H3 index of the ancestor four resolutions up: the name of the chunk (cells are counted from points, never from ancestors)';
comment on column cell_grid_part.first is 'place of the first cell in the grid, from 0; places follow the order of the cells';
comment on column cell_grid_part.n is 'number of cells';
comment on column cell_grid_part.cells is 'uint64 (n,), H3 indices, ascending';
comment on column cell_grid_part.owner is 'int32 (n,), id of the leaf unit that holds most of the cell';
comment on column cell_grid_part.start is 'int32 (n + 1,), first pair of each cell';
comment on column cell_grid_part.unit is 'int32 (pairs,), id of the leaf unit';
comment on column cell_grid_part.weight is 'float64 (pairs,), area of unit and cell over area of the unit; adds up to 1 per unit';
comment on column cell_grid_part.km2 is 'float32 (pairs,), area of unit and cell';

create table run_leaf (
  run_id int primary key references run on delete cascade,
  unit bytea not null,
  exposures bytea not null
);
comment on table run_leaf is 'exposures of the leaf units a run spread over cells';
comment on column run_leaf.run_id is 'run that spread them';
comment on column run_leaf.unit is 'int32 (u,), ids of the units without children, ascending';
comment on column run_leaf.exposures is 'float64 (measures, u), little-endian; nan: missing';

create table run_cell_count (
  run_id int not null references run on delete cascade,
  res smallint not null,
  chunk bigint not null,
  events bigint not null,
  counts bytea not null,
  primary key (run_id, res, chunk)
);
comment on table run_cell_count is 'events with a point, by cell, kind and month; those of all resolutions, assessed or not, and of cells outside of the map too';
comment on column run_cell_count.run_id is 'run that counted';
comment on column run_cell_count.res is 'H3 resolution of the cells';
comment on column run_cell_count.chunk is 'as cell_grid_part.chunk';
comment on column run_cell_count.events is 'sum of the counts';
comment on column run_cell_count.counts is 'zlib of four columns one after the other: uint64 cell, uint8 kind (from 0), uint16 month (from 0), uint32 events; ordered by cell, kind, month';

create table run_cell (
  run_id int not null references run on delete cascade,
  res smallint not null,
  boundary_version_id int not null,
  digest text not null,
  cells int not null,
  inside bigint not null,
  outside bigint not null,
  no_point bigint not null,
  assessed_at timestamptz not null default now(),
  primary key (run_id, res),
  foreign key (boundary_version_id, res) references cell_grid (boundary_version_id, res)
);
comment on table run_cell is 'resolutions a run was assessed at: with the run, or later from the same counts';
comment on column run_cell.run_id is 'run that was assessed';
comment on column run_cell.res is 'H3 resolution of the cells';
comment on column run_cell.boundary_version_id is 'version of the grid: the run''s';
comment on column run_cell.digest is 'the grid''s';
comment on column run_cell.cells is 'number of cells of the grid';
comment on column run_cell.inside is 'events with a point in a cell of the grid';
comment on column run_cell.outside is 'events with a point in a cell that shares no area with the map: counted there, with no data';
comment on column run_cell.no_point is 'events without a point; inside + outside + no_point = run.event_count';
comment on column run_cell.assessed_at is 'when its cells were assessed';

create table run_cell_rate (
  run_id int not null,
  res smallint not null,
  reference_id int not null,
  kind text not null,
  period text not null,
  rate double precision[] not null,
  alpha double precision[] not null,
  short boolean[] not null,
  marks bytea not null,
  primary key (run_id, res, reference_id, kind, period),
  foreign key (run_id, res) references run_cell on delete cascade
);
comment on table run_cell_rate is 'what the filter fitted to the cells of a reference area: with it and the counts every cell''s numbers follow';
comment on column run_cell_rate.run_id is 'run it was fitted in';
comment on column run_cell_rate.res is 'H3 resolution of the cells';
comment on column run_cell_rate.reference_id is 'unit id of the reference area that holds most of the cell, 0 the whole map';
comment on column run_cell_rate.kind is 'kind, or overall';
comment on column run_cell_rate.period is 'type of period: month, quarter, year';
comment on column run_cell_rate.rate is 'as run_rate.rate, over run_period.ord';
comment on column run_cell_rate.alpha is 'as run_rate.alpha, over run_period.ord';
comment on column run_cell_rate.short is 'periods with too little for a prior (bit 16 of assessment.flags)';
comment on column run_cell_rate.marks is 'flags that do not follow from the cell alone: int32 triples ord, place in the grid, bits 2 and 4 of assessment.flags';

create table run_cell_class (
  run_id int not null,
  res smallint not null,
  kind text not null,
  period text not null,
  ord smallint not null,
  counts int[] not null,
  primary key (run_id, res, kind, period, ord),
  foreign key (run_id, res) references run_cell on delete cascade
);
comment on table run_cell_class is 'cells of the whole map by class';
comment on column run_cell_class.run_id is 'run it is a result of';
comment on column run_cell_class.res is 'H3 resolution of the cells';
comment on column run_cell_class.kind is 'kind, or overall';
comment on column run_cell_class.period is 'type of period: month, quarter, year';
comment on column run_cell_class.ord is 'run_period.ord';
comment on column run_cell_class.counts is 'no data, green, blue, yellow, orange, red';

create table run_cell_value (
  run_id int not null,
  res smallint not null,
  kind text not null,
  period text not null,
  ord smallint not null,
  chunk bigint not null,
  payload bytea not null,
  primary key (run_id, res, kind, period, ord, chunk),
  foreign key (run_id, res) references run_cell on delete cascade
);
alter table run_cell_value alter column payload set storage external;
comment on table run_cell_value is 'what the map needs to colour its cells';
comment on column run_cell_value.run_id is 'run it is a result of';
comment on column run_cell_value.res is 'H3 resolution of the cells';
comment on column run_cell_value.kind is 'kind, or overall';
comment on column run_cell_value.period is 'type of period: month, quarter, year';
comment on column run_cell_value.ord is 'run_period.ord';
comment on column run_cell_value.chunk is 'as cell_grid_part.chunk';
comment on column run_cell_value.payload is 'gzip of the bytes of packed_values.payload, in the order of the cells of the chunk';

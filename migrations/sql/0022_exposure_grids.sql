-- Pixels of the rasters exposures were imported from, unit by unit: the weights of units cut by an area.
--
-- A row of a unit is seen where its exposures are: inside the claimed jurisdiction. What lies where inside
-- a unit is kept as proportions, never as amounts of single pixels beyond what the exposure says.

create table exposure_grid (
  id int generated always as identity primary key,
  boundary_version_id int not null references boundary_version on delete cascade,
  measure text not null check (measure ~ '^[a-z][a-z0-9_]{0,39}$'),
  as_of date not null,
  source text not null,
  crs text not null,
  transform double precision[] not null check (cardinality(transform) = 6),
  digest text not null check (digest ~ '^[0-9a-f]{64}$'),
  made_at timestamptz not null default now(),
  unique (boundary_version_id, measure, as_of)
);
comment on table exposure_grid is 'rasters whose pixels are kept by unit; a new import of a measure and day replaces the former';
comment on column exposure_grid.id is 'number of the grid, never used again for another';
comment on column exposure_grid.boundary_version_id is 'version whose finest units cut the raster';
comment on column exposure_grid.measure is 'exposure.measure';
comment on column exposure_grid.as_of is 'day the raster describes; the newest not after a run weighs its units';
comment on column exposure_grid.source is 'where it comes from, as told at the import';
comment on column exposure_grid.crs is 'CRS of the raster, WKT';
comment on column exposure_grid.transform is 'a b c d e f: x = a column + b row + c, y = d column + e row + f';
comment on column exposure_grid.digest is 'sha256 of its units, to know the same raster again';
comment on column exposure_grid.made_at is 'when it was stored';

create table exposure_grid_unit (
  grid_id int not null references exposure_grid on delete cascade,
  unit_id int not null,
  code text collate "C" not null,
  first_column int not null check (first_column >= 0),
  first_row int not null check (first_row >= 0),
  factor int not null check (factor > 0),
  wide int not null check (wide > 0),
  total double precision not null check (total > 0),
  amounts bytea not null,
  primary key (grid_id, unit_id)
);
comment on table exposure_grid_unit is 'what one finest unit has of a raster; no row: nothing is known or nothing is there';
comment on column exposure_grid_unit.grid_id is 'raster it is cut from';
comment on column exposure_grid_unit.unit_id is 'unit.id in the version of the grid';
comment on column exposure_grid_unit.code is 'unit.code, which says who may see it';
comment on column exposure_grid_unit.first_column is 'first column of the raster, from 0';
comment on column exposure_grid_unit.first_row is 'first row of the raster, from 0';
comment on column exposure_grid_unit.factor is 'pixels of the raster along one side of a pixel kept: 1 but for large units';
comment on column exposure_grid_unit.wide is 'pixels kept in a row';
comment on column exposure_grid_unit.total is 'sum of the amounts over the unit by exact area weights, in pixels kept';
comment on column exposure_grid_unit.amounts is 'zlib of little-endian float32, row by row: per area, the greatest being 1';

alter table exposure_grid_unit enable row level security;
create policy exposure_grid_unit_read on exposure_grid_unit for select to wusetu_web using (
  (select claimed_all()) or code ^@ any ((select claimed_prefixes())::text[]));
grant select on exposure_grid, exposure_grid_unit to wusetu_web;

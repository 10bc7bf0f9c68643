-- Cells of a jurisdiction that is a part of the map: exactly those whose every unit it may see.
--
-- A row of values holds many cells, so row security alone can only give it whole or not at all.
-- What the web reads is therefore cut by two functions that run as the owner and look at the claim
-- cell by cell; the tables under them stay closed.

create function may_see_all(codes text[]) returns boolean language sql stable parallel safe as
  $$ select claimed_all()
       or (cardinality(codes) > 0
           and not exists (select from unnest(codes) as code
                           where code is null or not code ^@ any (claimed_prefixes()))) $$;
comment on function may_see_all is 'whether every one of some codes lies inside the claimed jurisdiction; no code: no';

create table cell_grid_span (
  boundary_version_id int not null,
  res smallint not null,
  chunk bigint not null,
  at int not null,
  n int not null check (n > 0),
  codes text[] not null check (cardinality(codes) > 0),
  primary key (boundary_version_id, res, chunk, at),
  foreign key (boundary_version_id, res, chunk) references cell_grid_part on delete cascade
);
comment on table cell_grid_span is 'the cells of a chunk, cut where their units change: each cell is in exactly one span';
comment on column cell_grid_span.boundary_version_id is 'version of the grid';
comment on column cell_grid_span.res is 'H3 resolution of the grid';
comment on column cell_grid_span.chunk is 'as cell_grid_part.chunk';
comment on column cell_grid_span.at is 'place of the first cell in its chunk, from 0';
comment on column cell_grid_span.n is 'number of cells, one after the other';
comment on column cell_grid_span.codes is 'codes of all leaf units each of these cells shares area with';
alter table cell_grid_span enable row level security;
create policy cell_grid_span_read on cell_grid_span for select to wusetu_web
  using ((select claimed_all()) or may_see_all(codes));
grant select on cell_grid_span to wusetu_web;

create table run_cell_own (
  run_id int not null,
  res smallint not null,
  chunk bigint not null,
  shares bytea not null,
  count_at bytea not null,
  counts bytea not null,
  mark_at bytea not null,
  marks bytea not null,
  primary key (run_id, res, chunk),
  foreign key (run_id, res) references run_cell on delete cascade
);
comment on table run_cell_own is 'what the numbers of single cells follow from, cell after cell: read by own_cell alone; little-endian, packed';
comment on column run_cell_own.run_id is 'run its cells were assessed in';
comment on column run_cell_own.res is 'H3 resolution of the cells';
comment on column run_cell_own.chunk is 'as cell_grid_part.chunk; cells in its order';
comment on column run_cell_own.shares is 'float64 (n, kinds + measures): exposure shares, exposures; nan: no data';
comment on column run_cell_own.count_at is 'int32 (n + 1,), first count of each cell';
comment on column run_cell_own.counts is '7 bytes each: uint8 kind (from 0), uint16 month (from 0), uint32 events; by cell, kind, month';
comment on column run_cell_own.mark_at is 'int32 (n + 1,), first mark of each cell';
comment on column run_cell_own.marks is '5 bytes each: uint8 kind (from 0; their number: overall), uint8 period (month, quarter, year), uint16 ord, uint8 bits 2 and 4 of assessment.flags';
alter table run_cell_own enable row level security;

create function int4_at(data bytea, place int) returns int language sql immutable strict parallel safe as
  $$ select get_byte(data, 4 * place) | (get_byte(data, 4 * place + 1) << 8)
          | (get_byte(data, 4 * place + 2) << 16) | (get_byte(data, 4 * place + 3) << 24) $$;
comment on function int4_at is 'number at a place, from 0, of little-endian int32';

-- One cell of a published run; no row when there is none or it may not be seen whole.
create function own_cell(run int, res int, chunk bigint, place int,
                         out shares bytea, out counts bytea, out marks bytea)
returns setof record language sql stable security definer
set search_path = wusetu, pg_temp
as $$
  select substring(o.shares from own_cell.place * c.width + 1 for c.width),
         substring(o.counts from 7 * int4_at(o.count_at, own_cell.place) + 1
                            for 7 * (int4_at(o.count_at, own_cell.place + 1) - int4_at(o.count_at, own_cell.place))),
         substring(o.marks from 5 * int4_at(o.mark_at, own_cell.place) + 1
                           for 5 * (int4_at(o.mark_at, own_cell.place + 1) - int4_at(o.mark_at, own_cell.place)))
  from run r
  join cell_grid_span s on s.boundary_version_id = r.boundary_version_id and s.res = own_cell.res
    and s.chunk = own_cell.chunk and own_cell.place >= s.at and own_cell.place < s.at + s.n
  join run_cell_own o on o.run_id = r.id and o.res = own_cell.res and o.chunk = own_cell.chunk
  cross join lateral (select length(o.shares) / (length(o.count_at) / 4 - 1) as width) c
  where r.id = own_cell.run and r.status = 'published' and may_see_all(s.codes)
$$;

-- Values of a chunk with 0 for every cell that may not be seen whole; null when that is all of them.
create function own_values(run int, res int, kind text, period text, ord int, chunk bigint)
returns bytea language sql stable security definer
set search_path = wusetu, pg_temp
as $$
  select case
    when claimed_all() then v.payload
    else (
      select case when bool_or(s.seen) then string_agg(
          case when s.seen then substring(v.payload from half * length(v.payload) / 2 + s.at + 1 for s.n)
               else decode(repeat('00', s.n), 'hex') end,
          ''::bytea order by half, s.at) end
      from generate_series(0, 1) as half
      cross join (
        select g.at, g.n, may_see_all(g.codes) as seen from cell_grid_span g
        where g.boundary_version_id = r.boundary_version_id and g.res = v.res and g.chunk = v.chunk
        offset 0) s)
    end
  from run r
  join run_cell_value v on v.run_id = r.id
  where r.id = own_values.run and r.status = 'published' and v.res = own_values.res
    and v.kind = own_values.kind and v.period = own_values.period and v.ord = own_values.ord
    and v.chunk = own_values.chunk
$$;

-- Published colours of one cell, every period of a type; no row when it may not be seen whole.
create function own_colours(run int, res int, chunk bigint, place int, kinds text[], period text,
                            out kind text, out ord int, out colour int)
returns setof record language sql stable security definer
set search_path = wusetu, pg_temp
as $$
  select v.kind, v.ord, get_byte(v.payload, own_colours.place)
  from run r
  join cell_grid_span s on s.boundary_version_id = r.boundary_version_id and s.res = own_colours.res
    and s.chunk = own_colours.chunk and own_colours.place >= s.at and own_colours.place < s.at + s.n
  join run_cell_value v on v.run_id = r.id and v.res = own_colours.res and v.kind = any (own_colours.kinds)
    and v.period = own_colours.period and v.chunk = own_colours.chunk
  where r.id = own_colours.run and r.status = 'published' and may_see_all(s.codes)
$$;
revoke execute on function own_cell, own_values, own_colours from public;
grant execute on function own_cell, own_values, own_colours to wusetu_web;

-- Which resolutions a run has, and what was fitted to the reference areas of one's own units, is
-- for everybody; totals of the whole map and marks of single cells are not.
drop policy run_cell_read on run_cell;
create policy run_cell_read on run_cell for select to wusetu_web using (true);
revoke select on run_cell from wusetu_web;
grant select (run_id, res, boundary_version_id, digest, cells, assessed_at) on run_cell to wusetu_web;
create view run_cell_totals as
  select run_id, res, inside, outside, no_point from run_cell where claimed_all();
comment on view run_cell_totals is 'events in, off and without cells; no row for a jurisdiction that is a part of the map';
comment on column run_cell_totals.run_id is 'run_cell.run_id';
comment on column run_cell_totals.res is 'run_cell.res';
comment on column run_cell_totals.inside is 'run_cell.inside';
comment on column run_cell_totals.outside is 'run_cell.outside';
comment on column run_cell_totals.no_point is 'run_cell.no_point';
grant select on run_cell_totals to wusetu_web;

drop policy run_cell_rate_read on run_cell_rate;
create policy run_cell_rate_read on run_cell_rate for select to wusetu_web using (
  (select claimed_all())
  or (reference_id = 0 and cardinality((select claimed_prefixes())::text[]) > 0)
  or exists (select from run join unit on unit.boundary_version_id = run.boundary_version_id
             where run.id = run_id and unit.id = reference_id)
);
revoke select on run_cell_rate from wusetu_web;
grant select (run_id, res, reference_id, kind, period, rate, alpha, short) on run_cell_rate to wusetu_web;

-- Values are cut where they are stored, so they are stored as they are; the database packs them.
alter table run_cell_value alter column payload set storage extended;
comment on column run_cell_value.payload is 'the bytes of packed_values.payload, in the order of the cells of the chunk';

comment on function own_cell is 'shares, counts and marks of one cell of a run, when it lies wholly inside the claimed jurisdiction';
comment on function own_values is 'colours and relative risks of a chunk of cells; those beyond the claimed jurisdiction blank';
comment on function own_colours is 'colours of one cell in every kind and period of a type, when it lies wholly inside the claimed jurisdiction';

-- The coloured map for QGIS and other clients: shapes and values joined on demand.
-- Not security definer: rows the caller may not read stay hidden and show as no data.
create function coloured_tile(run int, level text, kind text, period text, ord int, z int, x int, y int)
returns bytea
language sql stable parallel safe
set search_path = wusetu, public
as $$
  with place as (
    select r.boundary_version_id as version,
           least(coloured_tile.z, a.max_zoom) as zoom,  -- past the last zoom its shapes are enlarged
           case when coloured_tile.z >= a.max_zoom then 8192 else 4096 end as extent,
           ST_TileEnvelope(coloured_tile.z, coloured_tile.x, coloured_tile.y) as tile,
           ST_TileEnvelope(coloured_tile.z, coloured_tile.x, coloured_tile.y, margin => 1.0 / 64) as wide
    from run r
    join tile_archive a on a.boundary_version_id = r.boundary_version_id and a.level = coloured_tile.level
    where r.id = coloured_tile.run and r.status = 'published' and coloured_tile.z >= a.min_zoom
  ),
  packed as (
    select v.first_id, v.n, v.payload
    from packed_values v
    where v.run_id = coloured_tile.run and v.level = coloured_tile.level and v.kind = coloured_tile.kind
      and v.period = coloured_tile.period and v.ord = coloured_tile.ord
  ),
  shape as (
    select p.extent, p.tile, g.geom, l.point, u.id, u.code, u.name,
           -- half-open in tile direction: every label is in exactly one tile
           ST_X(l.point) >= ST_XMin(p.tile) and ST_X(l.point) < ST_XMax(p.tile)
             and ST_Y(l.point) > ST_YMin(p.tile) and ST_Y(l.point) <= ST_YMax(p.tile) as here,
           coalesce(get_byte(v.payload, u.id - v.first_id), own.colour, 0) as colour,
           coalesce(get_byte(v.payload, v.n + u.id - v.first_id), 0) as risk
    from place p
    join tile_geometry g
      on g.boundary_version_id = p.version and g.level = coloured_tile.level and g.zoom = p.zoom
     and g.geom && p.wide
    join unit u on u.boundary_version_id = p.version and u.id = g.unit_id
    cross join lateral (select ST_Transform(u.label_point, 3857) as point) l
    left join packed v on u.id between v.first_id and v.first_id + v.n - 1
    -- packed rows are cut by county: a jurisdiction inside one is answered from the units' rows
    left join lateral (
      select a.colour[coloured_tile.ord + 1] as colour from assessment a
      where v.first_id is null and a.run_id = coloured_tile.run and a.unit_id = u.id
        and a.kind = coloured_tile.kind and a.period = coloured_tile.period
    ) own on true
  ),
  coloured as (
    select s.extent, s.tile, s.geom, s.point, s.here, s.id, s.code, s.name, s.colour,
           (array['none', 'green', 'blue', 'yellow', 'orange', 'red'])[s.colour + 1] as colour_name,
           (array['无数据', '明显低于预期', '正常范围', '略偏高', '可能偏高', '明显高于预期'])[s.colour + 1]
             as class_zh,
           (array['No data', 'Clearly below expected', 'Within normal range', 'Slightly above expected',
                  'Probably above expected', 'Clearly above expected'])[s.colour + 1] as class_en,
           case when s.risk > 0 then round(power(2.0, (s.risk - 128) / 16.0)::numeric, 4)::float8 end as theta
    from shape s
  ),
  polygon as (
    select ST_AsMVT(q, 'units', (select extent from place), 'geom', 'id') as layer
    from (
      select c.id, c.code, c.name, c.colour, c.colour_name, c.class_zh, c.class_en, c.theta,
             coalesce(
               ST_AsMVTGeom(c.geom, c.tile, c.extent, c.extent / 64, true),
               -- ST_AsMVTGeom drops what is thinner than half a unit; no unit may be dropped
               case when c.here then
                 ST_AsMVTGeom(
                   ST_Expand(c.point, 0.75 * (ST_XMax(c.tile) - ST_XMin(c.tile)) / c.extent),
                   c.tile, c.extent, c.extent / 64, true)
               end) as geom
      from coloured c
      order by c.id
    ) q
    where q.geom is not null
  ),
  label as (
    select ST_AsMVT(q, 'labels', (select extent from place), 'geom', 'id') as layer
    from (
      select c.id, c.code, c.name, c.colour, c.colour_name, c.class_zh, c.class_en, c.theta,
             ST_AsMVTGeom(c.point, c.tile, c.extent, c.extent / 64, true) as geom
      from coloured c
      where c.here
      order by c.id
    ) q
    where q.geom is not null
  )
  select coalesce(polygon.layer, '') || coalesce(label.layer, '') from polygon, label
$$;
comment on function coloured_tile is
  'vector tile of one run, level, kind and period: layers units and labels with code, name, colour (0 no data, 1 green, 2 blue, 3 yellow, 4 orange, 5 red), colour_name, class_zh, class_en, theta (relative risk within 2.2 %; absent without data); empty below the least zoom of the level or for an unpublished run';

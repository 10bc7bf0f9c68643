"""Devices near a place, for where-am-I. Takes a connection of the web's role; imports nothing of ours but models."""

from __future__ import annotations

import sqlalchemy as sa

from app.api.border_models import NearDevice


def near_devices(connection: sa.Connection, pack: str, lon: float, lat: float) -> list[NearDevice]:
    """Nearest five devices that may be seen, nearest first.

    Parameters
    ----------
    lon, lat : EPSG:4326
    """
    rows = connection.execute(
        sa.text(
            "select * from (select d.id, d.kind, s.state, d.side, st_x(d.geom) as lon, "
            "st_y(d.geom) as lat, s.last_seen, st_distance(d.geom::geography, "
            "st_setsrid(st_makepoint(:lon, :lat), 4326)::geography) as metres "
            "from (select id, kind, side, geom from device where pack = :pack "
            "and retired_at is null "
            "order by geom <-> st_setsrid(st_makepoint(:lon, :lat), 4326) limit 40) d "
            # the nearest in degrees, of which the nearest in metres
            "join device_state s on s.device_id = d.id) one order by metres, id limit 5"
        ),
        {"pack": pack, "lon": lon, "lat": lat},
    )
    return [NearDevice(**row._mapping) for row in rows]

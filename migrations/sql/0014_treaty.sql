-- Treaties, signed packages, pooled hotspots.
select 1;
